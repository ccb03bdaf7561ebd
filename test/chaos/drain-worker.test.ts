import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { APPEND_RUNBOOK, seededRandom, startAppendStage, type AppendStage } from './append-runs.js';

const DRAINS = process.env.FETTLE_LONG === '1' ? 10 : 2;

describe(`a worker told to stop during a run, ${DRAINS} times`, () => {
  let stage: AppendStage;
  const random = seededRandom();

  beforeAll(async () => {
    stage = await startAppendStage(20);
  }, 120_000);

  afterAll(() => stage?.close());

  it('hands over to another: nothing is unknown, nothing happens twice', async () => {
    const { stack, runs } = stage;
    let inFlight = 0;
    for (let drain = 1; drain <= DRAINS; drain += 1) {
      const { id } = await stack.start(APPEND_RUNBOOK);
      const next = stack.startWorker();
      while ((await runs.openSteps(id)).size === 0) await sleep(20);
      await sleep(random() * 900);
      const old = stage.worker;
      const open = await runs.openSteps(id);
      inFlight += open.size;
      const ended = old.stop('SIGTERM');
      stage.worker = await next;
      const run = await stack.ended(id, 90_000);
      await ended;
      expect(await runs.check(run, new Set())).toBe(0);
      figure(`drain ${drain}: ${open.size} steps in flight, none unknown, none twice, run ${run.state}`);
    }
    figure(`${DRAINS} drains, ${inFlight} steps in flight: 0 unknown, 0 twice`);
    expect(inFlight).toBeGreaterThanOrEqual(1);
  }, 600_000);
});
