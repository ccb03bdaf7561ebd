import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('rollback on a real server', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let service: ScriptedService;
  const targets = 'asset.kind == "server"';

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, 3);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
    await service?.close();
  });

  const script = (text: string, more: object = {}) => ({
    uses: 'ssh.script',
    with: { script: text, arguments: ['${{ asset.name }}', '${{ run.id }}'], ...more },
  });
  /** Leaves a file for each host and run, and says where. */
  const place = {
    id: 'place',
    ...script('f="/tmp/fettle-rollback-$2-$1"; echo placed > "$f"; printf %s "$f"'),
    outputs: { file: 'result.stdout' },
    rollback: { uses: 'ssh.run', with: { argv: ['rm', '${{ steps.place.file }}'] } },
  };
  const order = {
    id: 'order',
    uses: 'http.request',
    with: { url: '', method: 'POST' },
    outputs: { status: 'result.status' },
    rollback: { uses: 'http.request', with: { url: '', method: 'POST' } },
  };
  const ordering = () => ({
    ...order,
    with: { url: service.url('/order'), method: 'POST' },
    rollback: { uses: 'http.request', with: { url: service.url('/cancel-${{ steps.order.status }}'), method: 'POST' } },
  });

  async function placed(runId: string): Promise<string[]> {
    const rows: { name: string; there: boolean }[] = [];
    const { existsSync } = await import('node:fs');
    for (const name of ['host-000', 'host-001', 'host-002']) {
      rows.push({ name, there: existsSync(`/tmp/fettle-rollback-${runId}-${name}`) });
    }
    return rows.filter((row) => row.there).map((row) => row.name);
  }

  async function rollbacks(runId: string): Promise<unknown[]> {
    return stack.dataSource.query(
      `SELECT asset_name AS name, state, rollback FROM run_target WHERE run_id = $1 ORDER BY asset_name`,
      [runId],
    );
  }

  async function undone(runId: string): Promise<string[]> {
    const rows: { line: string }[] = await stack.dataSource.query(
      `SELECT s.step || coalesce(' ' || t.asset_name, '') || ' ' || s.generation || ' ' || s.state AS line
       FROM run_step s LEFT JOIN run_target t USING (run_id, asset_id) WHERE run_id = $1 AND s.phase = 'undo'
       ORDER BY s.started_at, t.asset_name`,
      [runId],
    );
    return rows.map((row) => row.line);
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 400; tries += 1) {
      if (await holds()) return;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  it('undoes on the target that failed, with what its step left, and leaves the others alone', async () => {
    await stack.addRunbook('one-fails', {
      targets,
      steps: [ordering(), place, { id: 'fail', ...script('test "$1" != host-001') }],
    });
    const run = await stack.ended((await stack.start('one-fails')).id);
    expect(run).toMatchObject({ state: 'failed', counts: { succeeded: 2, failed: 1 } });
    expect(await placed(run.id)).toEqual(['host-000', 'host-002']);
    expect(await rollbacks(run.id)).toEqual([
      { name: 'host-000', state: 'succeeded', rollback: null },
      { name: 'host-001', state: 'failed', rollback: 'undone' },
      { name: 'host-002', state: 'succeeded', rollback: null },
    ]);
    expect(await undone(run.id)).toEqual(['place host-001 1 succeeded']);
    expect(run.rollback).toEqual({ undone: ['place'], failed: [] });
    expect(run.targets.map((target) => target.rollback)).toEqual([undefined, 'undone', undefined]);
    expect(run.targets[1]?.steps.map(({ step }) => step)).toEqual(['place', 'fail', 'place#undo']);
    expect(service.calls.filter((path) => path.startsWith('/cancel'))).toEqual([]);
  });

  it('undoes everything unfinished when the run is cancelled, and a cancel does not stop it', async () => {
    await stack.addRunbook('is-cancelled', {
      targets,
      steps: [ordering(), place, { id: 'asleep', ...script('sleep 60') }],
    });
    const { id } = await stack.start('is-cancelled');
    await until('all hosts sleep', async () => {
      const rows: unknown[] = await stack.dataSource.query(
        `SELECT 1 FROM run_step WHERE run_id = $1 AND step = 'asleep' AND state = 'started'`,
        [id],
      );
      return rows.length === 3;
    });
    expect(await placed(id)).toHaveLength(3);
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    const run = await stack.ended(id, 60_000);
    expect(run.state).toBe('cancelled');
    expect(await placed(id)).toEqual([]);
    const lines = await undone(id);
    expect(lines.slice(0, 3).sort()).toEqual([0, 1, 2].map((host) => `place host-00${host} 1 succeeded`));
    expect(lines.slice(3)).toEqual(['order 1 succeeded']);
    expect(service.calls).toContain('/cancel-200');
  }, 90_000);

  it('says what could not be undone, after its attempts, and leaves the earlier steps of that target', async () => {
    const first = { id: 'first', ...script('true'), rollback: { uses: 'ssh.run', with: { argv: ['true'] } } };
    await stack.addRunbook('cannot', {
      targets,
      steps: [
        first,
        {
          id: 'second',
          ...script('true'),
          rollback: { ...script('test "$1" != host-001'), retry: { maxAttempts: 2, backoff: '100ms' } },
        },
        { id: 'fail', ...script('exit 3') },
      ],
    });
    const run = await stack.ended((await stack.start('cannot')).id);
    expect(await rollbacks(run.id)).toEqual([
      { name: 'host-000', state: 'failed', rollback: 'undone' },
      { name: 'host-001', state: 'failed', rollback: 'incomplete' },
      { name: 'host-002', state: 'failed', rollback: 'undone' },
    ]);
    const lines = await undone(run.id);
    expect(lines.filter((line) => line.includes('host-001'))).toEqual([
      'second host-001 1 failed',
      'second host-001 2 failed',
    ]);
    expect(lines.filter((line) => line.includes('host-000'))).toEqual([
      'second host-000 1 succeeded',
      'first host-000 1 succeeded',
    ]);
    const [row] = await stack.dataSource.query<{ rollback: unknown }[]>(`SELECT rollback FROM run WHERE id = $1`, [
      run.id,
    ]);
    expect(row).toEqual({ rollback: { undone: [], failed: ['first'] } });
  });

  it('leaves on a target what earlier segments did, where something of a later one could not be undone', async () => {
    const undo = (text: string) => ({ rollback: { ...script(text), retry: { maxAttempts: 1 } } });
    await stack.addRunbook('full-disk', {
      targets,
      steps: [
        { id: 'keep', ...script('true'), ...undo('true') },
        ordering(),
        { id: 'swap', ...script('true'), ...undo('test "$1" != host-001') },
        { id: 'fail', ...script('exit 3') },
      ],
    });
    const run = await stack.ended((await stack.start('full-disk')).id);
    expect(await rollbacks(run.id)).toEqual([
      { name: 'host-000', state: 'failed', rollback: 'undone' },
      { name: 'host-001', state: 'failed', rollback: 'incomplete' },
      { name: 'host-002', state: 'failed', rollback: 'undone' },
    ]);
    const lines = await undone(run.id);
    expect(lines.filter((line) => line.includes('host-001'))).toEqual(['swap host-001 1 failed']);
    expect(lines.filter((line) => line.startsWith('keep')).sort()).toEqual([
      'keep host-000 1 succeeded',
      'keep host-002 1 succeeded',
    ]);
    const told: { data: unknown }[] = await stack.dataSource.query(
      `SELECT e.data FROM entry e JOIN run_target t USING (run_id, asset_id)
       WHERE run_id = $1 AND e.kind = 'target-rolled-back' AND t.asset_name = 'host-001' ORDER BY e.seq`,
      [run.id],
    );
    expect(told.map(({ data }) => data)).toEqual([
      { state: 'incomplete', left: ['swap'] },
      { state: 'incomplete', left: ['keep'] },
    ]);
    expect(run.rollback).toMatchObject({ failed: ['swap', 'keep'] });
  });

  it('undoes by what the action of a step brings with it, where the step says nothing else', async () => {
    const path = (name: string): string => `${sshd.account.home}/\${{ asset.name }}-${name}`;
    const at = async (name: string): Promise<string[]> => {
      const { readFile } = await import('node:fs/promises');
      const hosts = ['host-000', 'host-001', 'host-002'];
      const read = (host: string) => readFile(`${sshd.account.home}/${host}-${name}`, 'utf8').catch(() => 'none');
      return Promise.all(hosts.map(read));
    };
    const put = (id: string, name: string, content: string, more: object = {}) => ({
      ...{ id, uses: 'file.put', with: { path: path(name), content } },
      ...more,
    });
    await stack.addRunbook('former', { targets, steps: [put('before', 'config', 'old\n')] });
    expect(await stack.ended((await stack.start('former')).id)).toMatchObject({ state: 'succeeded' });
    await stack.addRunbook('inherited', {
      targets,
      steps: [
        put('config', 'config', 'new\n'),
        put('extra', 'extra', 'new\n'),
        put('stays', 'stays', 'new\n', { rollback: { none: 'it is wanted in any case' } }),
        put('again', 'config', 'newest\n'),
        { id: 'fail', ...script('test "$1" != host-001') },
      ],
    });
    const run = await stack.ended((await stack.start('inherited')).id);
    expect(run).toMatchObject({ state: 'failed', counts: { succeeded: 2, failed: 1 } });
    expect(await at('config')).toEqual(['newest\n', 'old\n', 'newest\n']);
    expect(await at('extra')).toEqual(['new\n', 'none', 'new\n']);
    expect(await at('stays')).toEqual(['new\n', 'new\n', 'new\n']);
    expect(await undone(run.id)).toEqual([
      'again host-001 1 succeeded',
      'extra host-001 1 succeeded',
      'config host-001 1 succeeded',
    ]);
    expect(run.targets.map((target) => target.rollback)).toEqual([undefined, 'undone', undefined]);
  }, 90_000);

  it('goes on after the worker was killed: repeatable ones again, others are left to a person', async () => {
    const slow = (id: string, effect: string) => ({
      id,
      ...script('true'),
      rollback: script(`echo undone >> "/tmp/fettle-rollback-$2-${id}-$1"; sleep 3`, { effect }),
    });
    const runs: string[] = [];
    for (const effect of ['idempotent', 'mutating']) {
      await stack.addRunbook(`killed-${effect}`, {
        targets,
        // Both at once on the same hosts: otherwise one would be through before the other undoes.
        assetLock: 'shared',
        steps: [slow(effect, effect), { id: 'fail', ...script('exit 3') }],
      });
      runs.push((await stack.start(`killed-${effect}`)).id);
    }
    await until('both undo', async () => {
      const rows: { count: number }[] = await stack.dataSource.query(
        `SELECT count(*)::integer AS count FROM run_step WHERE run_id = ANY ($1) AND phase = 'undo' AND state = 'started'`,
        [runs],
      );
      return rows[0]!.count === 6;
    });
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
    const [again, left] = [await stack.ended(runs[0]!, 90_000), await stack.ended(runs[1]!, 90_000)];
    expect((await rollbacks(again.id)).map((row) => (row as { rollback: string }).rollback)).toEqual([
      'undone',
      'undone',
      'undone',
    ]);
    expect((await rollbacks(left.id)).map((row) => (row as { rollback: string }).rollback)).toEqual([
      'incomplete',
      'incomplete',
      'incomplete',
    ]);
    // Hosts are undone beside each other, in no order.
    expect((await undone(left.id)).sort()).toEqual([0, 1, 2].map((host) => `mutating host-00${host} 1 unknown`));
  }, 120_000);
});
