import { mkdtemp, rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runDetached, SshPool, type RunOnHost } from '@fettle/drivers';
import { DemoEstate, demoInventory } from '../../apps/cli/dist/demo/estate.js';
import { run } from '../support/ssh-client.js';

describe('a host of the demo estate', () => {
  let dataDir: string;
  let estate: DemoEstate;
  let pool: SshPool;

  beforeAll(async () => {
    dataDir = await mkdtemp('/tmp/fettle-demo-');
    estate = await DemoEstate.start({ dataDir });
    pool = new SshPool();
  }, 60_000);
  afterAll(async () => {
    await pool?.close();
    await estate?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('takes variables, token and input of a command that becomes root', async () => {
    const { rows, clientPrivateKey } = await demoInventory(dataDir);
    const { address: host, port, user, hostKey } = rows[0]!;
    const endpoint = { host, port, user, hostKeys: [hostKey] };
    const credential = { kind: 'private-key', privateKey: clientPrivateKey } as const;
    const request = { become: {}, token: 'the-token', env: { A: "it's\n2" }, timeoutMs: 20_000 };
    const argv = ['sh', '-c', 'id -un; echo "$FETTLE_EFFECT_TOKEN|$A|"; cat'];
    const fed = await run(pool, endpoint, credential, { ...request, argv, stdin: Buffer.from('rest\nof it') });
    expect(fed).toMatchObject({ result: { exitCode: 0 }, stdout: "root\nthe-token|it's\n2|\nrest\nof it" });
    const unfed = await run(pool, endpoint, credential, { ...request, argv: ['id', '-un'] });
    expect(unfed).toMatchObject({ result: { exitCode: 0 }, stdout: 'root\n', stderr: '' });
  }, 60_000);

  it('cannot detach a command, and says so once: whoever asks first may run it attached', async () => {
    const { rows, clientPrivateKey } = await demoInventory(dataDir);
    const { address: host, port, user, hostKey } = rows[0]!;
    const endpoint = { host, port, user, hostKeys: [hostKey] };
    const onHost: RunOnHost = (request) =>
      pool.exec(endpoint, { kind: 'private-key', privateKey: clientPrivateKey }, request);
    const ask = (fence: number): ReturnType<typeof runDetached> =>
      runDetached(onHost, endpoint, {
        ...{ token: 'a'.repeat(32), fence, argv: ['true'], stdin: Buffer.from('input'), env: { A: "it's" } },
        ...{
          timeoutMs: 60_000,
          elapsedMs: fence === 1 ? 0 : 1_000,
          followMs: 1_000,
          signal: AbortSignal.timeout(20_000),
        },
        consumed: { stdout: 0, stderr: 0 },
        onOutput: () => undefined,
      });
    expect(await ask(1)).toEqual({ kind: 'attach' });
    expect(await ask(2)).toEqual({ kind: 'lost', reason: 'attached' });
  }, 60_000);

  it('takes a file and says what it is, as a probe asks', async () => {
    const { rows, clientPrivateKey } = await demoInventory(dataDir);
    const { address: host, port, user, hostKey } = rows[0]!;
    const endpoint = { host, port, user, hostKeys: [hostKey] };
    const credential = { kind: 'private-key', privateKey: clientPrivateKey } as const;
    const request = { path: '/etc/probed', become: {}, timeoutMs: 20_000, signal: AbortSignal.timeout(40_000) };
    const look = () => pool.lookAtFile(endpoint, credential, { ...request, maxContentBytes: 100 });
    expect(await look()).toEqual({ kind: 'missing' });
    const content = Buffer.from('one\ntwo\n');
    const put = await pool.putFile(endpoint, credential, { ...request, content, mode: '0644' });
    expect(await look()).toMatchObject({ kind: 'file', mode: '644', owner: 'root', sha256: put.sha256, content });
  }, 60_000);
});
