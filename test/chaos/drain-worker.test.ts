import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { figure } from '../support/figures.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { APPEND_RUNBOOK, patiently, seededRandom, startAppendStage, type AppendStage } from './append-runs.js';

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

describe('a worker told to stop during an attached command that takes longer than its grace', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 1);
    const script = { script: 'sleep 300', detached: false };
    for (const [name, effect] of [
      ['changing', undefined],
      ['reading', 'read-only'],
    ] as const) {
      const step = { id: 'wait', uses: 'ssh.script', with: { ...script, ...(effect && { effect }) } };
      await stack.addRunbook(name, { targets: 'asset.kind == "server"', steps: [step] });
    }
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop('SIGKILL');
    await sshd?.stop();
    await stack?.close();
  });

  it('stops all the same; another makes unknown what may have happened and does the rest again', async () => {
    const [changing, reading] = [(await stack.start('changing')).id, (await stack.start('reading')).id];
    const started = async (epoch: number): Promise<unknown[]> =>
      stack.dataSource.query(
        `SELECT s.run_id FROM run_step s JOIN lane l ON l.run_id = s.run_id WHERE s.state = 'started' AND l.epoch = $1`,
        [epoch],
      );
    await patiently(async () => expect(await started(1)).toHaveLength(2));
    await worker.stop('SIGTERM');
    expect(worker.log).toContain('stopped with work in flight');
    expect(await stack.run(changing)).toMatchObject({ state: 'running', counts: { running: 1 } });
    worker = await stack.startWorker();
    expect(await stack.ended(changing)).toMatchObject({ state: 'failed', counts: { unknown: 1 } });
    await patiently(async () => expect(await started(2)).toEqual([{ run_id: reading }]));
  }, 180_000);
});
