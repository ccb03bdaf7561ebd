import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('locks of assets and rollback', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  const targets = 'asset.kind == "server"';
  const script = (text: string) => ({
    uses: 'ssh.script',
    with: { script: text, arguments: ['${{ asset.name }}'] },
  });
  const run = (id: string, text: string, more: object = {}) => ({ id, ...script(text), ...more });
  const undone = (seconds: number) => ({ rollback: { ...script(`sleep ${seconds}`), retry: { maxAttempts: 1 } } });

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 2);
    worker = await stack.startWorker();
    await stack.addRunbook('quick', { targets, steps: [run('quick', 'true')] });
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  /** From the first *started* to the last end on a host, in all of the runs that belong together. */
  async function span(runIds: readonly string[], host: string): Promise<{ from: Date; to: Date }> {
    const rows: { from: Date; to: Date }[] = await stack.dataSource.query(
      `SELECT min(s.started_at) AS from, max(s.ended_at) AS to FROM run_step s JOIN run_target t USING (run_id, asset_id)
       WHERE s.run_id = ANY ($1) AND t.asset_name = $2`,
      [runIds, host],
    );
    return rows[0]!;
  }
  async function calledBy(runId: string): Promise<string> {
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM run WHERE parent_run_id = $1`, [runId]);
    return rows[0]!.id;
  }
  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 400; tries += 1) {
      if (await holds()) return;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  it('a target that failed keeps its asset until it is undone; one that came through does not', async () => {
    await stack.addRunbook('fails-on-one', {
      targets,
      rollout: { strategy: 'free' },
      steps: [
        run('change', 'true', undone(1)),
        run('check', 'test "$1" != host-000'),
        run('long', 'sleep 4', { with: { script: 'sleep 4', effect: 'read-only' } }),
      ],
    });
    const first = await stack.start('fails-on-one');
    await until('one has failed', async () => (await stack.run(first.id)).counts.failed === 1);
    const quick = await stack.start('quick');
    await until('the other one waits', async () => (await stack.run(quick.id)).targets.some((one) => one.waits));
    const waits = (await stack.run(quick.id)).targets.find(({ asset }) => asset === 'host-000')?.waits;
    expect(waits).toMatchObject({ heldBy: { runId: first.id } });
    const ended = await stack.ended(first.id);
    expect(ended.targets.map(({ rollback }) => rollback)).toEqual(['undone', undefined]);
    expect(await stack.ended(quick.id)).toMatchObject({ state: 'succeeded' });
    const [changed, after] = [await span([first.id], 'host-000'), await span([quick.id], 'host-000')];
    expect(after.from.getTime()).toBeGreaterThanOrEqual(changed.to.getTime());
  }, 60_000);

  it('a target that failed keeps its asset while it is undone, although another one was waiting when the run was stopped', async () => {
    await stack.addRunbook('holds-one', { targets, steps: [run('hold', 'sleep 9')] });
    await stack.addRunbook('gives-up', {
      targets,
      rollout: { strategy: 'free', maxFailures: 0 },
      steps: [
        run('change', 'true', undone(2)),
        { id: 'look', ...script('sleep 3; false'), with: { script: 'sleep 3; false', effect: 'read-only' } },
      ],
    });
    const holds = await stack.start('holds-one', { on: 'asset.name == "host-001"' });
    await until('one is held', async () => (await stack.run(holds.id)).counts.running === 1);
    const first = await stack.start('gives-up');
    await until('one waits', async () => (await stack.run(first.id)).targets.some((one) => one.waits));
    const quick = await stack.start('quick', { on: 'asset.name == "host-000"' });
    const ended = await stack.ended(first.id);
    expect(ended.targets.map(({ state, rollback }) => [state, rollback])).toEqual([
      ['failed', 'undone'],
      ['cancelled', undefined],
    ]);
    expect(await stack.ended(quick.id)).toMatchObject({ state: 'succeeded' });
    const [changed, after] = [await span([first.id], 'host-000'), await span([quick.id], 'host-000')];
    expect(after.from.getTime()).toBeGreaterThanOrEqual(changed.to.getTime());
    await stack.ended(holds.id);
  }, 60_000);

  it('what a called run changed stays locked until the run that called it can undo it no more', async () => {
    await stack.addRunbook('called', { targets, steps: [run('change', 'true', undone(1))] });
    const fails = {
      id: 'fails',
      uses: 'http.request',
      with: { url: 'http://127.0.0.1:9/' },
      retry: { maxAttempts: 1 },
    };
    await stack.addRunbook('caller', {
      steps: [{ id: 'go', call: { runbook: 'called' } }, { id: 'pause', wait: { duration: '3s' } }, fails],
    });
    const { id } = await stack.start('caller');
    await until('the call is through', async () => {
      const rows: unknown[] = await stack.dataSource.query(
        `SELECT 1 FROM run WHERE parent_run_id = $1 AND ended_at IS NOT NULL`,
        [id],
      );
      return rows.length === 1;
    });
    const quick = await stack.start('quick');
    expect(await stack.ended(id)).toMatchObject({ state: 'failed', rollback: { undone: ['go'], failed: [] } });
    expect(await stack.ended(quick.id)).toMatchObject({ state: 'succeeded' });
    const called = await calledBy(id);
    for (const host of ['host-000', 'host-001']) {
      const [changed, after] = [await span([called], host), await span([quick.id], host)];
      expect(after.from.getTime()).toBeGreaterThanOrEqual(changed.to.getTime());
    }
  }, 60_000);

  it('runs that fail everywhere and undo it come to their end, whoever comes to which host first', async () => {
    await stack.addRunbook('all-fail', {
      targets,
      rollout: { strategy: 'free', maxConcurrency: 1 },
      steps: [run('change', 'sleep 0.2', undone(0.2)), run('check', 'false')],
    });
    const started = await Promise.all([1, 2, 3].map(() => stack.start('all-fail')));
    const ids = started.map(({ id }) => id);
    for (const id of ids) {
      const ended = await stack.ended(id, 90_000);
      expect(ended.targets.map(({ state, rollback }) => [state, rollback])).toEqual([
        ['failed', 'undone'],
        ['failed', 'undone'],
      ]);
    }
    const steps: { asset_id: string; run_id: string; from: Date; to: Date }[] = await stack.dataSource.query(
      `SELECT asset_id, run_id, started_at AS from, ended_at AS to FROM run_step WHERE run_id = ANY ($1) AND step = 'change'`,
      [ids],
    );
    const overlapping = steps.filter((one) =>
      steps.some(
        (other) =>
          other.asset_id === one.asset_id && other.run_id !== one.run_id && one.from < other.to && other.from < one.to,
      ),
    );
    expect(overlapping).toEqual([]);
  }, 120_000);

  it('a target that waits is woken when its asset becomes free, and does not have to look', async () => {
    await stack.addRunbook('holds', { targets, steps: [run('hold', 'sleep 3')] });
    const first = await stack.start('holds');
    await until('it works', async () => (await stack.run(first.id)).counts.running === 2);
    const quick = await stack.start('quick');
    const waiting = async (): Promise<number> => {
      const rows: { count: number }[] = await stack.dataSource.query(
        `SELECT count(*) AS count FROM run_target JOIN asset_lock_wait USING (run_id, asset_id) WHERE run_id = $1 AND lane IS NULL`,
        [quick.id],
      );
      return rows[0]!.count;
    };
    await until('both wait', async () => (await waiting()) === 2);
    // By itself it would look tomorrow.
    await stack.dataSource.query(
      `UPDATE run_target SET due_at = clock_timestamp() + interval '1 day' WHERE run_id = $1 AND state IN ('pending', 'running')`,
      [quick.id],
    );
    expect(await stack.ended(first.id)).toMatchObject({ state: 'succeeded' });
    expect(await stack.ended(quick.id, 30_000)).toMatchObject({ state: 'succeeded' });
  }, 60_000);
});
