import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 20;
const AT_ONCE = 4;
/** Of the activities of a run, as the workflow sets it; a beat goes out each second, so the last one was at most so old at the kill. */
const HEARTBEAT_TIMEOUT_MS = 8_000;
const HEARTBEAT_INTERVAL_MS = 1_000;

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
  ): Promise<{ id: string; lost: number; killedAtMs: number; resumableAtMs: number }> {
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
    const killedAtMs = Date.now();
    await worker.stop('SIGKILL');
    const lost = await open();
    worker = await stack.startWorker();
    // The heartbeat expires no earlier than this; whichever comes later, that or the worker, is what going on is counted from.
    const expiresAtMs = killedAtMs - HEARTBEAT_INTERVAL_MS + HEARTBEAT_TIMEOUT_MS;
    return { id, lost, killedAtMs, resumableAtMs: Math.max(Date.now(), expiresAtMs) };
  }

  /** When the first attempt after that moment was claimed; its *started* is written by the claim. */
  async function nextClaimMs(runId: string, sinceMs: number): Promise<number> {
    const rows: { at: number | null }[] = await stack.dataSource.query(
      `SELECT (extract(epoch FROM min(started_at)) * 1000)::float8 AS at FROM run_step WHERE run_id = $1
         AND started_at > to_timestamp($2::float8 / 1000)`,
      [runId, sinceMs],
    );
    expect(rows[0]!.at).not.toBeNull();
    return rows[0]!.at!;
  }

  it.each(['linear', 'free'])(
    'goes on where it was (%s): no wave begins twice, and the limit of those at work holds',
    async (strategy) => {
      const { id, lost, killedAtMs, resumableAtMs } = await killInSecondWave(`again-${strategy}`, 'idempotent', {
        strategy,
      });
      const run = await stack.ended(id, 90_000);
      const goesOnAfterMs = (await nextClaimMs(id, killedAtMs)) - resumableAtMs;
      figure(
        `${strategy}: ${lost} steps in flight at the kill; the first claim ${(goesOnAfterMs / 1000).toFixed(1)} s after worker and heartbeat's expiry (limit 5 s)`,
      );
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
