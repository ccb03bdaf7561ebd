import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import type { TestStack, WorkerProcess } from '../support/stack.js';
import { APPEND_RUNBOOK, AppendRuns, seededRandom } from './append-runs.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 20 : 4;
const HOSTS = long ? 50 : 20;
const MIN_IN_FLIGHT = long ? 15 : 3;

describe(`kill -9 of the worker, ${KILLS} times`, () => {
  let stack: TestStack;
  let runs: AppendRuns;
  let worker: WorkerProcess;
  const random = seededRandom();

  beforeAll(async () => {
    runs = await AppendRuns.start(HOSTS);
    stack = runs.stack;
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await runs?.close();
  });

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    let killsInFlight = 0;
    let unknownSteps = 0;
    let landedSteps = 0;
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const { id } = await stack.start(APPEND_RUNBOOK);
      // From the first step on: on a slow machine the start alone would use up the time.
      while ((await runs.openSteps(id)).size === 0) await sleep(20);
      const delayMs = random() * 2500;
      await sleep(delayMs);
      await worker.stop('SIGKILL');
      const uncertain = await runs.openSteps(id);
      // Between effect and *finished*: the line was there when nobody was left to write down that the step had ended.
      const effects = await runs.effects(id);
      const landed = [...uncertain].filter((key) => (effects.get(key) ?? 0) > 0).length;
      // Commands that the dead worker left running finish by themselves before the next worker looks.
      worker = await stack.startWorker();
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
    expect(landedSteps).toBeGreaterThan(0);
  }, 900_000);
});
