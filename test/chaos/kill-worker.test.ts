import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { APPEND_RUNBOOK, seededRandom, startAppendStage, type AppendStage } from './append-runs.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 20 : 4;
const HOSTS = long ? 50 : 20;
const MIN_IN_FLIGHT = long ? 15 : 3;
/** So many kills at random moments meet one that has landed; a few may not. */
const MIN_LANDED = long ? 1 : 0;
/** Within a run: fewer hosts are done sooner. */
const MAX_DELAY_MS = long ? 2500 : 1200;

describe(`kill -9 of the worker, ${KILLS} times`, () => {
  let stage: AppendStage;
  const random = seededRandom();

  beforeAll(async () => {
    stage = await startAppendStage(HOSTS);
  }, 120_000);

  afterAll(() => stage?.close());

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    const { stack, runs } = stage;
    let killsInFlight = 0;
    let unknownSteps = 0;
    let landedSteps = 0;
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const { id } = await stack.start(APPEND_RUNBOOK);
      // From the first step on: on a slow machine the start alone would use up the time.
      while ((await runs.openSteps(id)).size === 0) await sleep(20);
      const delayMs = random() * MAX_DELAY_MS;
      await sleep(delayMs);
      // Read before the kill, so that what lands during it does not count as landed.
      const effects = await runs.effects(id);
      await stage.worker.stop('SIGKILL');
      const uncertain = await runs.openSteps(id);
      // Between effect and *finished*: the line was there, and nobody was left to write down that the step had ended.
      const landed = [...uncertain].filter((key) => (effects.get(key) ?? 0) > 0).length;
      // Commands that the dead worker left running finish by themselves before the next worker looks.
      stage.worker = await stack.startWorker();
      const run = await stack.ended(id, 90_000);
      await sleep(1000);
      if (uncertain.size > 0) killsInFlight += 1;
      const unknowns = await runs.check(run, uncertain);
      unknownSteps += unknowns;
      landedSteps += landed;
      figure(
        `kill ${kill} ${Math.round(delayMs)} ms into the run: ${uncertain.size} in flight (${landed} between effect and finished), ${unknowns} unknown, none twice, run ${run.state}`,
      );
    }
    figure(
      `${KILLS} kills of the worker on ${HOSTS} hosts, ${killsInFlight} with a step in flight; steps: ${landedSteps} between effect and finished, ${unknownSteps} unknown, 0 twice`,
    );
    expect(killsInFlight).toBeGreaterThanOrEqual(MIN_IN_FLIGHT);
    expect(landedSteps).toBeGreaterThanOrEqual(MIN_LANDED);
  }, 900_000);
});
