import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { signalRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('kill -9 of the worker inside of loops, calls and waits', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 2);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  async function lines(runId: string): Promise<string[]> {
    const rows: { line: string }[] = await stack.dataSource.query(
      `SELECT kind || coalesce(' ' || step, '') || coalesce(' ' || (data ->> 'state'), '') AS line
       FROM entry WHERE run_id = $1 AND asset_id IS NULL ORDER BY seq`,
      [runId],
    );
    return rows.map((row) => row.line);
  }

  /** Kills the worker once the run has that entry, then starts another. */
  async function killAt(runId: string, entry: string): Promise<void> {
    for (let tries = 0; !(await lines(runId)).includes(entry); tries += 1) {
      if (tries > 600) throw new Error(`no entry "${entry}": ${(await lines(runId)).join(', ')}`);
      await sleep(20);
    }
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
  }

  it('goes on where it was: no iteration, call or wait is begun or ended twice', async () => {
    const onHosts = (id: string, script: string) => ({
      ...{ id, uses: 'ssh.script', retry: { maxAttempts: 1 } },
      with: { script, arguments: ['${{ asset.name }}'], effect: 'idempotent' },
    });
    await stack.addRunbook('flow-sub', {
      steps: [
        { id: 'rest', wait: { duration: '3s' } },
        { id: 'ask', wait: { signal: 'go', timeout: '2m' } },
      ],
    });
    await stack.addRunbook('flow-killed', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'each',
          forEach: {
            items: ['a', 'b', 'c'],
            as: 'one',
            steps: [onHosts('mark', 'sleep 0.3; touch "$HOME/flow-$1"'), { id: 'rest', wait: { duration: '300ms' } }],
          },
        },
        { id: 'sub', call: { runbook: 'flow-sub' } },
        {
          id: 'last',
          try: [{ id: 'pause', wait: { duration: '2s' } }],
          finally: [onHosts('end', 'echo end >> "$HOME/flow-end-$1"')],
        },
      ],
    });
    const { id } = await stack.start('flow-killed');
    await killAt(id, 'iteration-started each[b]');
    await killAt(id, 'run-called sub');
    const [child] = await stack.dataSource.query<{ id: string }[]>(`SELECT id FROM run WHERE parent_run_id = $1`, [id]);
    await killAt(child!.id, 'step-started ask');
    await stack.inTransaction((context) => signalRun(context, child!.id, { name: 'go', payload: {} }));
    await killAt(id, 'step-started pause');
    const run = await stack.ended(id, 120_000);
    expect(run).toMatchObject({ state: 'succeeded', error: null, counts: { succeeded: 2 } });
    expect((await lines(id)).filter((line) => !line.startsWith('run-'))).toEqual([
      ...['a', 'b', 'c'].flatMap((one) => [
        `iteration-started each[${one}]`,
        `step-started each[${one}]/rest`,
        `step-ended each[${one}]/rest succeeded`,
      ]),
      ...['step-started sub', 'step-ended sub succeeded', 'step-started pause', 'step-ended pause succeeded'],
    ]);
    expect(await lines(child!.id)).toEqual([
      ...['run-queued', 'run-started', 'step-started rest', 'step-ended rest succeeded', 'step-started ask'],
      ...['signal-sent', 'signal-taken ask', 'step-ended ask succeeded', 'run-ended succeeded'],
    ]);
    const subRuns: unknown[] = await stack.dataSource.query(`SELECT 1 FROM run WHERE parent_run_id = $1`, [id]);
    expect(subRuns).toHaveLength(1);
    for (const target of run.targets) {
      expect(target.steps.map(({ step, state }) => `${step} ${state}`)).toEqual([
        ...['a', 'b', 'c'].map((one) => `each[${one}]/mark succeeded`),
        'end succeeded',
      ]);
      expect(await readFile(join(sshd.account.home, `flow-end-${target.asset}`), 'utf8')).toBe('end\n');
    }
  }, 240_000);
});
