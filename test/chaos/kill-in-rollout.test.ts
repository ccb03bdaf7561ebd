import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 20;
const AT_ONCE = 4;

interface StepRow {
  readonly wave: number;
  readonly state: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

describe('kill -9 of the worker in the midst of a rollout', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, HOSTS);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  function journal(runId: string): Promise<StepRow[]> {
    return stack.dataSource.query(
      `SELECT t.wave, s.state, s.started_at AS "startedAt", s.ended_at AS "endedAt"
       FROM run_step s JOIN run_target t USING (run_id, asset_id) WHERE s.run_id = $1`,
      [runId],
    );
  }

  async function waveEntries(runId: string): Promise<string[]> {
    const rows: { what: string }[] = await stack.dataSource.query(
      `SELECT kind || ' ' || (data ->> 'wave') AS what FROM entry WHERE run_id = $1 AND kind ~ '^(wave|rollout)-' ORDER BY seq`,
      [runId],
    );
    return rows.map((row) => row.what);
  }

  /** Starts the runbook, kills the worker while the second wave is at work, and starts another. */
  async function killInSecondWave(
    name: string,
    effect: string,
    rollout: object,
  ): Promise<{ id: string; lost: number }> {
    await stack.addRunbook(name, {
      targets: 'asset.kind == "server"',
      rollout: { waves: [2, '50%', '100%'], maxConcurrency: AT_ONCE, maxFailures: 1, ...rollout },
      steps: ['one', 'two'].map((id) => ({
        id,
        uses: 'ssh.run',
        with: { argv: ['sleep', '0.5'], detached: false, effect },
      })),
    });
    const { id } = await stack.start(name);
    const open = async (): Promise<number> =>
      (await journal(id)).filter((step) => step.wave === 2 && step.state === 'started').length;
    for (let tries = 0; (await open()) < AT_ONCE && tries < 1000; tries += 1) await sleep(20);
    await worker.stop('SIGKILL');
    const lost = await open();
    worker = await stack.startWorker();
    return { id, lost };
  }

  it.each(['linear', 'free'])(
    'goes on where it was (%s): no wave begins twice, and the limit of those at work holds',
    async (strategy) => {
      const { id, lost } = await killInSecondWave(`again-${strategy}`, 'idempotent', { strategy });
      const run = await stack.ended(id, 90_000);
      figure(`${strategy}: ${lost} steps in flight at the kill`);
      expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
      expect(await waveEntries(id)).toEqual(
        [1, 2, 3].flatMap((wave) => [`wave-started ${wave}`, `wave-ended ${wave}`]),
      );
      const steps = await journal(id);
      expect(steps).toHaveLength(HOSTS * 2);
      for (const step of steps) {
        const moment = step.startedAt.getTime();
        const atOnce = steps.filter((one) => one.startedAt.getTime() <= moment && moment < one.endedAt.getTime());
        expect(atOnce.length).toBeLessThanOrEqual(AT_ONCE);
        expect(atOnce.every((one) => one.wave === step.wave)).toBe(true);
      }
    },
    120_000,
  );

  it('counts what nobody can vouch for as failed, and dispatches nothing more', async () => {
    const { id, lost } = await killInSecondWave('unknown', 'mutating', {});
    const run = await stack.ended(id, 90_000);
    // Those whose end was on its way to the journal may have made it.
    expect(lost).toBeGreaterThan(1);
    expect(run).toMatchObject({
      state: 'failed',
      error: { code: 'failure-limit' },
      counts: { unknown: lost, pending: 0 },
    });
    const dispatched = run.targets.filter((target) => target.steps.length > 0);
    expect(run.counts).toMatchObject({
      cancelled: HOSTS - dispatched.length,
      succeeded: dispatched.length - lost,
    });
    expect(await waveEntries(id)).toEqual([
      'wave-started 1',
      'wave-ended 1',
      'wave-started 2',
      'rollout-stopped 2',
      'wave-ended 2',
    ]);
  }, 120_000);
});
