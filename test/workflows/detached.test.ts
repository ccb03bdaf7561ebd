import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { folderOf, marked, newMark, until } from '../support/detached.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

/** How long a lane stays with a command before it lets it go, and some more. */
const LET_GO_MS = 40_000;

describe('steps whose commands run detached', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 4);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop('SIGKILL');
    await sshd?.stop();
    await stack?.close();
  });

  async function start(name: string, script: string, more: Record<string, unknown> = {}, on?: string): Promise<string> {
    const step = { id: 'do', uses: 'ssh.script', with: { script, arguments: ['${{ asset.name }}'] } };
    await stack.addRunbook(name, { targets: 'asset.kind == "server"', steps: [step], ...more });
    return (await stack.start(name, on === undefined ? {} : { on })).id;
  }

  const one = 'asset.labels.number == "1"';

  async function parked(runId: string): Promise<string[]> {
    const rows: { asset_name: string }[] = await stack.dataSource.query(
      `SELECT asset_name FROM run_target WHERE run_id = $1 AND is_parked AND lane IS NULL`,
      [runId],
    );
    return rows.map((row) => row.asset_name);
  }

  async function stdout(runId: string, asset: string): Promise<string> {
    const rows: { body: string; line: number }[] = await stack.dataSource.query(
      `SELECT l.body, l.line FROM run_log l JOIN run_target t USING (run_id, asset_id)
       WHERE l.run_id = $1 AND t.asset_name = $2 AND l.stream = 'stdout' ORDER BY l.seq`,
      [runId, asset],
    );
    let line = 1;
    for (const row of rows) {
      expect(row.line).toBe(line);
      line += row.body.split('\n').length - 1;
    }
    return rows.map((row) => row.body).join('');
  }

  const numbers = (count: number): string => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');

  it('hold no slot of the lane, count as in flight, and end with their own exit code', async () => {
    const script = '[ "$1" = host-000 ] || exit 0; for n in 1 2 3 4 5 6; do echo $n; sleep 5; done; exit 3';
    const id = await start('slow', script, { rollout: { maxConcurrency: 2 } });
    await until('the others are done', async () => (await stack.run(id)).counts.succeeded === 3);
    await until('let go', async () => (await parked(id)).length === 1);
    expect(await stack.run(id)).toMatchObject({ counts: { running: 1, succeeded: 3 } });
    const run = await stack.ended(id, LET_GO_MS);
    const slow = run.targets.find((target) => target.asset === 'host-000');
    expect(slow).toMatchObject({ state: 'failed', steps: [{ attempt: 1, state: 'failed', exitCode: 3 }] });
    expect(await stdout(id, 'host-000')).toBe(numbers(6));
    // Begun once, ended once, and nothing told of the looks between.
    const kinds: { kind: string }[] = await stack.dataSource.query(
      `SELECT e.kind FROM entry e JOIN run_target t USING (run_id, asset_id)
       WHERE e.run_id = $1 AND t.asset_name = 'host-000' ORDER BY e.seq`,
      [id],
    );
    expect(kinds.map(({ kind }) => kind)).toEqual(['step-started', 'step-ended', 'target-ended']);
    // What was left on the host is cleared but for the claim.
    await until('cleared', async () => {
      const tokens = await readdir(folderOf(sshd.account.user));
      const left = await Promise.all(tokens.map((token) => readdir(folderOf(sshd.account.user, token))));
      return tokens.length === 4 && left.every((names) => names.sort().join() === 'claim,fence');
    });
  }, 120_000);

  it.each(['connection', 'worker'] as const)(
    'survive the loss of the %s: once, whole, with their exit code',
    async (what) => {
      const file = join(sshd.account.home, `once-${what}`);
      const script = `echo "$1" >>${file}; for n in $(seq 60); do echo $n; sleep 0.1; done; exit 4`;
      const id = await start(`lost-${what}`, script, {}, one);
      await until('output', async () => (await stdout(id, 'host-001')).includes('20\n'));
      if (what === 'connection') await sshd.cutSessions();
      else {
        await worker.stop('SIGKILL');
        worker = await stack.startWorker();
      }
      const run = await stack.ended(id, 60_000);
      expect(run.targets[0]).toMatchObject({ state: 'failed', steps: [{ attempt: 1, state: 'failed', exitCode: 4 }] });
      expect(await stdout(id, 'host-001')).toBe(numbers(60));
      expect(await readFile(file, 'utf8')).toBe('host-001\n');
    },
    120_000,
  );

  it('survive a host that cannot be reached for a while', async () => {
    const id = await start('away', 'echo before; sleep 6; echo after', {}, one);
    await until('output', async () => (await stdout(id, 'host-001')) !== '');
    await sshd.kill();
    await until('let go', async () => (await parked(id)).length === 1);
    await sleep(3_000);
    await sshd.restart();
    expect(await stack.ended(id, 60_000)).toMatchObject({ state: 'succeeded', counts: { succeeded: 1 } });
    expect(await stdout(id, 'host-001')).toBe('before\nafter\n');
  }, 120_000);

  it('are ended by the host when their time is over, also where nobody looks', async () => {
    const mark = newMark();
    const step = { id: 'do', uses: 'ssh.script', timeout: '31s', with: { script: `sleep ${mark}` } };
    await stack.addRunbook('timeout', { targets: one, steps: [step] });
    const { id } = await stack.start('timeout');
    const run = await stack.ended(id, 90_000);
    expect(run.targets[0]).toMatchObject({ state: 'failed', error: { code: 'command-timeout' } });
    expect(await marked(mark)).toBe(0);
  }, 120_000);

  it('are stopped by a cancel, whether a lane holds them or not', async () => {
    const mark = newMark();
    const held = newMark();
    const first = await start('stopped', `sleep ${mark}`, {});
    await until('let go', async () => (await parked(first)).length === 4);
    const second = await start('stopped-held', `sleep ${held}`, {});
    await until('all run', async () => (await marked(held)) >= 4);
    for (const id of [first, second]) {
      await stack.inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
      const run = await stack.ended(id, 60_000);
      expect(run).toMatchObject({ state: 'cancelled', counts: { cancelled: 4, unknown: 0 } });
    }
    await until('gone', async () => (await marked(mark)) + (await marked(held)) === 0);
  }, 120_000);

  it('are stopped when the time of the run is over', async () => {
    const mark = newMark();
    const id = await start('run-timeout', `sleep ${mark}`, { timeout: '25s' }, one);
    await until('let go', async () => (await parked(id)).length === 1);
    expect(await stack.ended(id, 60_000)).toMatchObject({ state: 'timed-out', counts: { cancelled: 1 } });
    await until('gone', async () => (await marked(mark)) === 0);
  }, 120_000);

  it('are unknown where a cancel cannot be confirmed', async () => {
    const mark = newMark();
    const id = await start('unconfirmed', `sleep ${mark}`, {}, one);
    await until('runs', async () => (await marked(mark)) > 0);
    await sshd.kill();
    await stack.inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
    const run = await stack.ended(id, 90_000);
    expect(run.targets[0]).toMatchObject({ state: 'unknown', error: { code: 'cancel-unconfirmed' } });
    await sshd.restart();
  }, 120_000);
});
