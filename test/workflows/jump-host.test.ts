import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FettleError, type EnrolResult } from '@fettle/contracts';
import { importAssets, readEnrolment, requestEnrolment, setAsset } from '@fettle/operations';
import { addNetworkNamespace, type NetworkNamespace } from '../support/network-namespace.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('an asset behind a jump host', () => {
  let network: NetworkNamespace;
  let bastion: Sshd;
  let inner: Sshd;
  let stack: TestStack;
  let worker: WorkerProcess;

  beforeAll(async () => {
    network = await addNetworkNamespace();
    const networkNamespace = network.name;
    [bastion, inner, stack] = await Promise.all([
      startSshd({ networkNamespace }),
      startSshd({ networkNamespace }),
      TestStack.create(),
    ]);
    await stack.addHosts(bastion, 1, { prefix: 'bastion' });
    await stack.addHosts(inner, 3, { prefix: 'inner' });
    await stack.dataSource.query(
      `UPDATE endpoint SET address = $1 FROM asset a WHERE a.id = asset_id AND a.name = 'bastion-000'`,
      [network.address],
    );
    await stack.addRunbook('says-where', {
      inputs: { type: 'object', properties: { group: { type: 'string' } } },
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'say',
          uses: 'ssh.run',
          if: 'asset.labels.group == inputs.group',
          with: { argv: ['echo', '${{ asset.name }}'] },
        },
      ],
    });
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await stack?.close();
    await Promise.all([bastion?.stop(), inner?.stop()]);
    await network?.remove();
  }, 60_000);

  const set = (name: string, endpoint: Record<string, unknown>) =>
    stack.inTransaction((context) => setAsset(context, { space: 'default', name }, { endpoint }));

  async function refusal(work: Promise<unknown>): Promise<FettleError> {
    const error: unknown = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof FettleError) return error;
    throw new Error(`expected a FettleError, got ${String(error)}`);
  }

  async function runOn(group: string): Promise<Record<string, unknown>[]> {
    const run = await stack.ended((await stack.start('says-where', { inputs: { group } })).id);
    return stack.dataSource.query(
      `SELECT t.asset_name AS asset, t.state, t.error FROM run_target t WHERE run_id = $1 AND state <> 'skipped' ORDER BY 1`,
      [run.id],
    );
  }

  async function enrol(name: string): Promise<EnrolResult> {
    const key = { space: 'default', name };
    const id = await stack.inTransaction((context) =>
      requestEnrolment(context, key, { replace: true, reason: 'test' }),
    );
    for (;;) {
      const result = await readEnrolment(stack.dataSource.manager, id);
      if (result !== null) return result;
      await sleep(100);
    }
  }

  it('is reached by a run once it says through whom, and enrolled through him', async () => {
    expect(await runOn('inner')).toMatchObject(
      ['inner-000', 'inner-001', 'inner-002'].map((asset) => ({ asset, state: 'unreachable' })),
    );
    for (const name of ['inner-000', 'inner-001', 'inner-002']) {
      const asset = await set(name, { jump: 'bastion-000' });
      expect(asset.endpoint?.jump).toBe('bastion-000');
    }
    expect(await runOn('inner')).toMatchObject(
      ['inner-000', 'inner-001', 'inner-002'].map((asset) => ({ asset, state: 'succeeded', error: null })),
    );
    expect((await bastion.log()).match(/Accepted publickey/g)).toHaveLength(1);
    const enrolled = await enrol('inner-000');
    expect(enrolled.hostKeys).toHaveLength(1);
    expect(enrolled.changed).toBe(false);
  }, 120_000);

  it('is unreachable, and not quarantined, where the jump host shows another key or is not to be used', async () => {
    const [wrongKey] = await inner.hostKeys();
    const right = await stack.dataSource.query<{ host_keys: string[] }[]>(
      `SELECT host_keys FROM endpoint e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'bastion-000'`,
    );
    await set('bastion-000', { hostKeys: [wrongKey!.split(' ').slice(0, 2).join(' ')] });
    const failed = { state: 'unreachable', error: { code: 'jump-host-failed' } };
    expect(await runOn('inner')).toMatchObject([failed, failed, failed]);
    const quarantined = await stack.dataSource.query<unknown[]>(
      `SELECT name FROM asset WHERE quarantined_at IS NOT NULL`,
    );
    expect(quarantined).toEqual([]);
    expect((await refusal(enrol('inner-001'))).code).toBe('jump-host-failed');
    await set('bastion-000', { hostKeys: right[0]!.host_keys.map((key) => key.split(' ').slice(0, 2).join(' ')) });
    await stack.dataSource.query(
      `UPDATE asset SET quarantined_at = now(), quarantine_reason = 'looked at' WHERE name = 'bastion-000'`,
    );
    expect(await runOn('inner')).toMatchObject([
      { error: { message: expect.stringContaining('through jump host bastion-000: it is quarantined') as unknown } },
      failed,
      failed,
    ]);
    await stack.dataSource.query(`UPDATE asset SET quarantined_at = NULL, quarantine_reason = NULL`);
  }, 120_000);

  it('has a way that ends, of at most three jump hosts, through assets that there are', async () => {
    expect(await refusal(set('bastion-000', { jump: 'inner-000' }))).toMatchObject({
      code: 'invalid-request',
      message: 'The way to "bastion-000" leads back: bastion-000 -> inner-000 -> bastion-000.',
    });
    expect((await refusal(set('inner-000', { jump: 'inner-000' }))).message).toContain('leads back');
    expect((await refusal(set('inner-000', { jump: 'nobody' }))).code).toBe('not-found');
    await set('hop-1', { address: '10.0.0.1', jump: 'inner-000' });
    await set('hop-2', { address: '10.0.0.2', jump: 'hop-1' });
    expect((await refusal(set('hop-3', { address: '10.0.0.3', jump: 'hop-2' }))).message).toContain('more than 3');
    const cleared = await set('hop-2', { jump: null });
    expect(cleared.endpoint?.jump).toBeNull();
    await stack.inTransaction((context) =>
      importAssets(context, {
        space: 'default',
        rows: [{ line: 2, name: 'imported', address: '10.0.0.9', jump: 'bastion-000', labels: {} }],
        format: 'csv',
        digest: '0'.repeat(64),
        dryRun: false,
      }),
    );
    const imported = await stack.dataSource.query<unknown[]>(
      `SELECT e.jump, a.sources->>'endpoint.jump' AS source FROM endpoint e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'imported'`,
    );
    expect(imported).toMatchObject([{ jump: 'bastion-000' }]);
  }, 60_000);
});
