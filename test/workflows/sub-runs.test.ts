import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { endLostRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const pause = (id: string, duration = '1ms') => ({ id, wait: { duration } });
const call = (id: string, runbook: string, more: object = {}) => ({ id, call: { runbook, ...more } });

describe('runs that call runs', () => {
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

  interface Below {
    readonly id: string;
    readonly runbook: string;
    readonly version: string;
    readonly depth: number;
    readonly state: string;
  }
  /** All runs below one, by depth and start. */
  function below(runId: string): Promise<Below[]> {
    return stack.dataSource.query(
      `WITH RECURSIVE b AS (SELECT * FROM run WHERE parent_run_id = $1 UNION ALL SELECT r.* FROM run r JOIN b ON r.parent_run_id = b.id)
       SELECT id, runbook, version, depth, state FROM b ORDER BY depth, id`,
      [runId],
    );
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 600; tries += 1) {
      if (await holds()) return;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  async function digests(runbook: string): Promise<string[]> {
    const rows: { digest: string }[] = await stack.dataSource.query(
      `SELECT digest FROM document_version WHERE name = $1 ORDER BY number`,
      [runbook],
    );
    return rows.map((row) => row.digest);
  }

  it('uses the versions that were there when the topmost run started, unless a step pins one', async () => {
    await stack.addRunbook('leaf', { steps: [pause('one')] });
    await stack.addRunbook('middle', { steps: [call('leaf', 'leaf')] });
    const [old] = await digests('leaf');
    await stack.addRunbook('pins', {
      steps: [pause('first', '3s'), call('through', 'middle'), call('pinned', 'leaf', { version: old })],
    });
    const { id } = await stack.start('pins');
    // A newer version of what is called two runs below, before anything is called.
    await stack.dataSource.query(
      `WITH newer AS (
         INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
         SELECT gen_random_uuid(), space, document_id, 2, 'sha256:' || repeat('0', 64), kind, name, source, parsed, created_by
         FROM document_version WHERE name = 'leaf' RETURNING id, document_id)
       UPDATE document SET current_version_id = newer.id FROM newer WHERE document.id = newer.document_id`,
    );
    expect(await stack.ended(id)).toMatchObject({ state: 'succeeded' });
    const leaves = (await below(id)).filter((run) => run.runbook === 'leaf');
    expect(leaves.map((run) => [run.depth, run.version])).toEqual([
      [1, old],
      [2, old],
    ]);
    const later = await stack.ended((await stack.start('middle')).id);
    expect((await below(later.id)).map((run) => run.version)).toEqual([`sha256:${'0'.repeat(64)}`]);
  }, 60_000);

  it('refuses to start where a runbook that it calls is not there, however deep', async () => {
    await stack.addRunbook('calls-nobody', {
      steps: [{ id: 'way', choose: [{ when: 'false', steps: [call('x', 'nobody')] }] }],
    });
    await stack.addRunbook('calls-it', { steps: [call('y', 'calls-nobody')] });
    await expect(stack.start('calls-it')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('nobody'),
    });
  });

  it('ends runs that call each other in a circle at the eighth', async () => {
    await stack.addRunbook('circle', { steps: [call('again', 'circle')] });
    const run = await stack.ended((await stack.start('circle')).id, 120_000);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'sub-run-failed' } });
    const runs = await below(run.id);
    expect(runs.map(({ depth, state }) => [depth, state])).toEqual(
      Array.from({ length: 8 }, (_, index) => [index + 1, 'failed']),
    );
    const last = await stack.run(runs.at(-1)!.id);
    expect(last.controlSteps[0]?.error).toMatchObject({ code: 'call-depth' });
  }, 150_000);

  it('fails fast: what is beside the failure ends, and the run says what failed', async () => {
    await stack.addRunbook('sleeper', { steps: [pause('asleep', '1h')] });
    await stack.addRunbook('fails-fast', {
      targets: 'asset.kind == "server"',
      steps: [
        {
          id: 'both',
          failFast: true,
          parallel: {
            hosts: [{ id: 'asleep', uses: 'ssh.run', with: { argv: ['sleep', '60'] } }],
            call: [call('sub', 'sleeper')],
            fails: [pause('shortly', '1s'), { id: 'wrong', wait: { until: 'tomorrow' } }],
          },
        },
      ],
    });
    const run = await stack.ended((await stack.start('fails-fast')).id);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'invalid-moment' }, counts: { cancelled: 2 } });
    expect(run.controlSteps.map(({ step, state }) => `${step} ${state}`).sort()).toEqual([
      'shortly succeeded',
      'sub cancelled',
      'wrong failed',
    ]);
    expect((await below(run.id)).map(({ state }) => state)).toEqual(['cancelled']);
  }, 60_000);

  it('cancels the runs below a run that was lost', async () => {
    await stack.addRunbook('lost', { steps: [call('sub', 'sleeper')] });
    const { id } = await stack.start('lost');
    await until('the sub-run runs', async () => (await below(id))[0]?.state === 'running');
    await stack.dataSource.transaction((transaction) =>
      endLostRun(
        transaction,
        { runId: id, space: 'default', cancelRequested: false },
        { state: 'failed', code: 'workflow-missing', message: 'lost' },
      ),
    );
    await until('it is cancelled', async () => (await below(id))[0]?.state === 'cancelled');
  }, 60_000);
});
