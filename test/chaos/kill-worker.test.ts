import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { APPEND_RUNBOOK, seededRandom, startAppendStage, type AppendStage } from './append-runs.js';

const long = process.env.FETTLE_LONG === '1';
/** FETTLE_KILLS: another number of kills, where a machine has no time for all of them. */
const KILLS = Number(process.env.FETTLE_KILLS ?? (long ? 100 : 4));
/** Each has its own database, hosts and worker: most of a kill is waiting for the heartbeat's expiry. */
const STAGES = long ? 4 : 1;
const HOSTS = long ? 50 : 20;
/** Of all kills; three in four meet a step in flight. */
const MIN_IN_FLIGHT = long ? KILLS * 0.75 : 3;
/** So many kills at random moments meet one that has landed; a few may not. */
const MIN_LANDED = long ? 1 : 0;
/** Within a run: fewer hosts are done sooner. */
const MAX_DELAY_MS = long ? 2500 : 1200;
const MAX_UNKNOWN_AFTER_MS = 60_000;

interface Kill {
  readonly inFlight: number;
  readonly landed: number;
  readonly unknown: number;
  /** From the kill to the last `unknown` in the run; null: there was none. */
  readonly unknownAfterMs: number | null;
}

const random = seededRandom();

/** Kills the worker at a random moment of a run; another one takes it to its end. */
async function killOnce(stage: AppendStage, number: number): Promise<Kill> {
  const { stack, runs } = stage;
  const { id } = await stack.start(APPEND_RUNBOOK);
  // From the first step on: on a slow machine the start alone would use up the time.
  while ((await runs.openSteps(id)).size === 0) await sleep(20);
  const delayMs = random() * MAX_DELAY_MS;
  await sleep(delayMs);
  // Read before the kill, so that what lands during it does not count as landed.
  const effects = await runs.effects(id);
  await stage.worker.stop('SIGKILL');
  const killedAtMs = Date.now();
  const uncertain = await runs.openSteps(id);
  // Between effect and *finished*: the line was there, and nobody was left to write down that the step had ended.
  const landed = [...uncertain].filter((key) => (effects.get(key) ?? 0) > 0).length;
  // Commands that the dead worker left running finish by themselves before the next worker looks.
  stage.worker = await stack.startWorker();
  const run = await stack.ended(id, 90_000);
  await sleep(1000);
  const unknown = await runs.check(run, uncertain);
  const rows: { at: Date | null }[] = await stack.dataSource.query(
    `SELECT max(ended_at) AS at FROM run_target WHERE run_id = $1 AND state = 'unknown'`,
    [id],
  );
  const at = rows[0]?.at?.getTime();
  figure(
    `kill ${number} ${Math.round(delayMs)} ms into the run: ${uncertain.size} in flight (${landed} between effect and finished), ${unknown} unknown, none twice, run ${run.state}`,
  );
  return { inFlight: uncertain.size, landed, unknown, unknownAfterMs: at === undefined ? null : at - killedAtMs };
}

describe(`kill -9 of the worker, ${KILLS} times`, () => {
  let stages: AppendStage[] = [];

  beforeAll(async () => {
    stages = await Promise.all(Array.from({ length: STAGES }, () => startAppendStage(HOSTS)));
  }, 240_000);

  afterAll(async () => {
    for (const stage of stages) await stage.close();
  }, 120_000);

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    const kills: Kill[] = [];
    const numbers = Array.from({ length: KILLS }, (_, index) => index + 1).values();
    const serve = async (stage: AppendStage): Promise<void> => {
      for (const number of numbers) kills.push(await killOnce(stage, number));
    };
    await Promise.all(stages.map(serve));
    const sum = (of: (kill: Kill) => number): number => kills.reduce((total, kill) => total + of(kill), 0);
    const killsInFlight = kills.filter(({ inFlight }) => inFlight > 0).length;
    const landedSteps = sum(({ landed }) => landed);
    figure(
      `${KILLS} kills of the worker on ${HOSTS} hosts, 0 runs lost, ${killsInFlight} with a step in flight; steps: ${landedSteps} between effect and finished, ${sum(({ unknown }) => unknown)} unknown, 0 twice`,
    );
    const after = kills.flatMap(({ unknownAfterMs }) => (unknownAfterMs === null ? [] : [unknownAfterMs]));
    if (after.length > 0) {
      const slowest = Math.max(...after);
      figure(`unknown stood in the run ${(slowest / 1000).toFixed(1)} s after the kill at the latest`);
      expect(slowest).toBeLessThan(MAX_UNKNOWN_AFTER_MS);
    }
    expect(kills).toHaveLength(KILLS);
    expect(killsInFlight).toBeGreaterThanOrEqual(MIN_IN_FLIGHT);
    expect(landedSteps).toBeGreaterThanOrEqual(MIN_LANDED);
  }, 2_400_000);
});
