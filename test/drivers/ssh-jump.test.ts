import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { SshPool, type SshCredential, type SshEndpoint, type SshJump } from '@fettle/drivers';
import { addNetworkNamespace, type NetworkNamespace } from '../support/network-namespace.js';
import { credentialOf, endpointOf, failureOf, run } from '../support/ssh-client.js';
import { startSshd, type Sshd } from '../support/sshd.js';

describe('jump hosts', () => {
  let network: NetworkNamespace;
  /** `bastion` is reached by the address of the network; `inner` only by whoever is in it. */
  let bastion: Sshd;
  let inner: Sshd;
  let outside: Sshd;
  let pool: SshPool;
  let jump: SshJump;
  let behind: SshEndpoint;
  let credential: SshCredential;

  beforeAll(async () => {
    network = await addNetworkNamespace();
    const networkNamespace = network.name;
    [bastion, inner, outside] = await Promise.all([
      startSshd({ networkNamespace, maxSessions: 1 }),
      startSshd({ networkNamespace, users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }),
      startSshd(),
    ]);
    pool = new SshPool();
    const endpoint = { ...(await endpointOf(bastion)), host: network.address };
    jump = { name: 'bastion', endpoint, credential: credentialOf(bastion) };
    behind = { ...(await endpointOf(inner)), jump };
    credential = credentialOf(inner);
  }, 120_000);

  afterAll(async () => {
    await pool?.close();
    await Promise.all([bastion?.stop(), inner?.stop(), outside?.stop()]);
    await network?.remove();
  }, 60_000);

  it('reach a host that is not reached otherwise, with streams whole, sudo and the end of commands', async () => {
    const directly = await failureOf(run(pool, { ...behind, jump: undefined }, credential, { argv: ['id'] }));
    expect(directly.code).toBe('host-unreachable');
    const input = randomBytes(3_000_000);
    const ran = await run(pool, behind, credential, { argv: ['cat'], stdin: input });
    expect(ran.result).toMatchObject({ exitCode: 0, stdoutBytes: input.length });
    expect((await run(pool, behind, credential, { argv: ['id', '-un'], become: {} })).stdout).toBe('root\n');
    const slow = await failureOf(run(pool, behind, credential, { argv: ['sleep', '60'], timeoutMs: 500 }));
    expect(slow).toMatchObject({ code: 'command-timeout', detail: { confirmed: true } });
    expect(await inner.processesOf('sleep')).toEqual([]);
  }, 60_000);

  it('carry many hosts over one connection, which their limit of sessions does not count', async () => {
    const hosts = Array.from({ length: 20 }, (_, host) => ({ ...behind, host: inner.address(host) }));
    const outputs = await Promise.all(hosts.map((host) => run(pool, host, credential, { argv: ['echo', host.host] })));
    expect(outputs.map(({ stdout }) => stdout.trim())).toEqual(hosts.map(({ host }) => host));
    const log = await bastion.log();
    expect(log.match(/Accepted publickey/g)).toHaveLength(1);
  }, 60_000);

  it('stand one behind the other, at most three', async () => {
    const first: SshJump = {
      name: 'outside',
      endpoint: await endpointOf(outside),
      credential: credentialOf(outside),
    };
    const through = (jumpHost: SshJump, next: SshJump): SshJump => ({
      ...next,
      endpoint: { ...next.endpoint, jump: jumpHost },
    });
    const three = through(through(first, jump), {
      name: 'inner',
      endpoint: { ...behind, jump: undefined },
      credential,
    });
    const last = { ...behind, host: inner.address(5), jump: three };
    expect((await run(pool, last, credential, { argv: ['echo', 'there'] })).stdout).toBe('there\n');
    expect(await outside.log()).toContain(`target ${network.address} port ${bastion.port}`);
    const tooLong = { ...last, jump: through(three, first) };
    expect(await failureOf(run(pool, tooLong, credential, { argv: ['id'] }))).toMatchObject({
      code: 'jump-host-failed',
      message: expect.stringContaining('more than 3 jump hosts') as unknown,
    });
  }, 60_000);

  it('must show their own pinned key, and the host behind them its own', async () => {
    const [wrongKey] = await outside.hostKeys();
    const hostKeys = [wrongKey!];
    const wrongHop = { ...behind, jump: { ...jump, endpoint: { ...jump.endpoint, hostKeys } } };
    const before = (await inner.log()).length;
    expect(await failureOf(run(pool, wrongHop, credential, { argv: ['id'] }))).toMatchObject({
      code: 'jump-host-failed',
      message: expect.stringMatching(/through jump host bastion: .* the host shows the key/) as unknown,
      detail: { hop: 'bastion', hopCode: 'host-key-mismatch', mayHaveStarted: false },
    });
    expect((await inner.log()).length).toBe(before);
    const wrongTarget = await failureOf(run(pool, { ...behind, hostKeys }, credential, { argv: ['id'] }));
    expect(wrongTarget).toMatchObject({ code: 'host-key-mismatch', detail: { host: behind.host } });
    const unpinned = { ...behind, jump: { ...jump, endpoint: { ...jump.endpoint, hostKeys: [] } } };
    expect(await failureOf(run(pool, unpinned, credential, { argv: ['id'] }))).toMatchObject({
      code: 'jump-host-failed',
      detail: { hop: 'bastion', hopCode: 'host-key-unpinned' },
    });
  }, 60_000);

  it('say which of them failed, and how', async () => {
    const wrongCredential = { ...behind, jump: { ...jump, credential: credentialOf(outside) } };
    expect(await failureOf(run(pool, wrongCredential, credential, { argv: ['id'] }))).toMatchObject({
      code: 'jump-host-failed',
      detail: { hop: 'bastion', hopCode: 'authentication-failed' },
    });
    const nobody = await failureOf(run(pool, { ...behind, port: 9 }, credential, { argv: ['id'] }));
    expect(nobody).toMatchObject({ code: 'host-unreachable', detail: { hop: 'bastion' } });
    const closed = await startSshd({ settings: ['AllowTcpForwarding no'] });
    try {
      const endpoint = await endpointOf(closed);
      const refusing = { ...behind, jump: { name: 'closed', endpoint, credential: credentialOf(closed) } };
      expect(await failureOf(run(pool, refusing, credential, { argv: ['id'] }))).toMatchObject({
        code: 'jump-host-failed',
        remedy: expect.stringContaining('AllowTcpForwarding') as unknown,
        detail: { hop: 'closed', hopCode: 'forward-refused', mayHaveStarted: false },
      });
    } finally {
      await closed.stop();
    }
  }, 60_000);

  it('are asked again where their connection was lost meanwhile', async () => {
    await run(pool, behind, credential, { argv: ['true'] });
    await bastion.cutSessions();
    expect((await run(pool, behind, credential, { argv: ['echo', 'again'] })).stdout).toBe('again\n');
  }, 60_000);

  it('show the keys of a host behind them, for enrolment', async () => {
    const keys = await pool.scanHostKeys(inner.address(0), inner.port, { timeoutMs: 10_000, jump });
    expect(keys.map(({ key }) => key)).toEqual(
      (await inner.hostKeys()).map((line) => line.split(' ').slice(0, 2).join(' ')),
    );
    const wrong = { ...jump, credential: credentialOf(outside) };
    expect(
      await failureOf(pool.scanHostKeys(inner.address(0), inner.port, { timeoutMs: 10_000, jump: wrong })),
    ).toMatchObject({ code: 'jump-host-failed' });
  }, 60_000);
});
