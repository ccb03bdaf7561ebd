import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { APPEND_RUNBOOK, AppendRuns, seededRandom } from './append-runs.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 20 : 4;
const HOSTS = long ? 50 : 20;
const MIN_IN_FLIGHT = long ? 15 : 3;

describe(`kill -9 of the worker, ${KILLS} times`, () => {
  let stack: TestStack;
  let sshd: Sshd;
  let runs: AppendRuns;
  let worker: WorkerProcess;
  const random = seededRandom();

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, HOSTS);
    runs = new AppendRuns(stack, sshd);
    await runs.prepare();
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    let killsInFlight = 0;
    let unknownSteps = 0;
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const { id } = await stack.start(APPEND_RUNBOOK);
      // From the first step on: on a slow machine the start alone would use up the time.
      while ((await runs.openSteps(id)).size === 0) await sleep(20);
      const delayMs = random() * 2500;
      await sleep(delayMs);
      await worker.stop('SIGKILL');
      const uncertain = await runs.openSteps(id);
      // Commands that the dead worker left running finish by themselves before the next worker looks.
      worker = await stack.startWorker();
      const run = await stack.ended(id, 90_000);
      await sleep(1000);
      if (uncertain.size > 0) killsInFlight += 1;
      const unknowns = await runs.check(run, uncertain);
      unknownSteps += unknowns;
      process.stderr.write(
        `kill ${kill} ${Math.round(delayMs)} ms into the run: ${uncertain.size} in flight, ${unknowns} unknown, run ${run.state}\n`,
      );
    }
    process.stderr.write(`${killsInFlight} of ${KILLS} kills with a step in flight; ${unknownSteps} steps unknown\n`);
    expect(killsInFlight).toBeGreaterThanOrEqual(MIN_IN_FLIGHT);
  }, 900_000);
});
