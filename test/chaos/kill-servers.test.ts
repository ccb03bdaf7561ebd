import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { migrateDatabase } from '../support/migrate.js';
import { ApiProcess } from '../support/api-process.js';
import { figure } from '../support/figures.js';
import { startPostgres, type ScratchPostgres } from '../support/postgres.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { startTemporal, type ScratchTemporal } from '../support/temporal.js';
import { APPEND_RUNBOOK, AppendRuns, patiently, seededRandom } from './append-runs.js';
import { expectSoundAudit } from './sound-audit.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 5 : 2;
const HOSTS = 20;

describe.each(['postgres', 'temporal'] as const)(`kill -9 of %s, ${KILLS} times`, (name) => {
  let postgres: ScratchPostgres;
  let temporal: ScratchTemporal;
  let stack: TestStack;
  let sshd: Sshd;
  let runs: AppendRuns;
  let worker: WorkerProcess;
  let api: ApiProcess;
  const random = seededRandom();
  const restarted: Record<string, number> = { worker: 0, api: 0 };

  beforeAll(async () => {
    [postgres, temporal, sshd] = await Promise.all([
      startPostgres({ durable: true }),
      startTemporal({ durable: true }),
      startSshd(),
    ]);
    await postgres.ensureDatabase('fettle');
    migrateDatabase(postgres.url('fettle'));
    stack = await TestStack.create({ databaseUrl: postgres.url('fettle'), temporalAddress: temporal.address });
    await stack.addHosts(sshd, HOSTS);
    runs = new AppendRuns(stack, sshd);
    // Long enough that steps are in flight, too, when Temporal comes back and has given up the lane that serves them.
    await runs.prepare(name === 'temporal' ? 4 : 0.2);
    [worker, api] = await Promise.all([stack.startWorker(), ApiProcess.start(stack.environment)]);
  }, 180_000);

  afterAll(async () => {
    await worker?.stop();
    await api?.stop();
    await sshd?.stop();
    await stack?.close();
    await temporal?.close();
    await postgres?.close();
  }, 60_000);

  /** What the supervisor of `fettle up` does; how often it was needed is printed. */
  async function supervise(): Promise<void> {
    if (!worker.isRunning) {
      restarted.worker! += 1;
      process.stderr.write(`the worker had ended: ${worker.log.slice(-1500)}\n`);
      worker = await stack.startWorker();
    }
    if (!api.isRunning) {
      restarted.api! += 1;
      process.stderr.write(`the API had ended: ${api.log.slice(-1500)}\n`);
      api = await ApiProcess.start(stack.environment, { port: api.port });
    }
  }

  async function ended(runId: string, timeoutMs: number): Promise<RunDetail> {
    const giveUpAtMs = Date.now() + timeoutMs;
    for (;;) {
      await supervise();
      const run = await patiently(() => stack.run(runId));
      if (run.endedAt !== null) return run;
      if (Date.now() > giveUpAtMs) {
        throw new Error(
          `run ${runId} is still ${run.state}: ${JSON.stringify(run.counts)}\n${worker.log.slice(-3000)}`,
        );
      }
      await sleep(200);
    }
  }

  async function startOverApi(key: string): Promise<string> {
    return patiently(async () => {
      await supervise();
      const answer = await api.call('POST', '/api/v1/runs', {
        body: { runbook: APPEND_RUNBOOK },
        headers: { 'idempotency-key': key },
      });
      if (answer.status !== 202) throw new Error(`${answer.status}: ${answer.text}`);
      return String(answer.body.id);
    });
  }

  it('ends every run; each effect happened once, or is unknown and was in flight', async () => {
    const server = name === 'postgres' ? postgres : temporal;
    let killsInFlight = 0;
    let unknownSteps = 0;
    const accepted: string[] = [];
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const id = await startOverApi(`${name}-${kill}`);
      accepted.push(id);
      await patiently(async () => {
        if ((await runs.openSteps(id)).size === 0) throw new Error('no step has started');
      });
      const delayMs = random() * 1500;
      await sleep(delayMs);
      await server.kill();
      const killedAtMs = Date.now();
      // Every other outage is longer than a heartbeat may be away.
      const outageMs = kill % 2 === 0 ? 10_000 : 500;
      // A run that is asked for during the outage is accepted now or after it, never lost.
      const during = startOverApi(`${name}-during-${kill}`);
      await sleep(outageMs);
      await server.start();
      accepted.push(await during);
      const run = await ended(id, 90_000);
      await ended(accepted.at(-1)!, 90_000);
      await sleep(700);
      const uncertain = await runs.inFlightAt(id, killedAtMs);
      if (uncertain.size > 0) killsInFlight += 1;
      const unknowns = await runs.check(run, uncertain);
      // The worker lives through both outages and knows what it did, so it must not shrug.
      if (restarted.worker === 0) expect(unknowns).toBe(0);
      unknownSteps += unknowns;
      figure(
        `kill ${kill} of ${name} ${Math.round(delayMs)} ms into the run for ${outageMs} ms: ${uncertain.size} in flight, ${unknowns} unknown, none twice, run ${run.state}`,
      );
    }
    expect(killsInFlight).toBeGreaterThanOrEqual(Math.floor(KILLS / 2));
    expect(new Set(accepted).size).toBe(KILLS * 2);
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM run ORDER BY id`);
    expect(rows.map((row) => row.id).sort()).toEqual([...accepted].sort());
    const open: unknown[] = await stack.dataSource.query(`SELECT id, state FROM run WHERE ended_at IS NULL`);
    expect(open).toEqual([]);
    figure(
      `${KILLS} kills of ${name}, ${killsInFlight} with a step in flight; runs: ${accepted.length} accepted, 0 lost, 0 open; steps: ${unknownSteps} unknown, 0 twice; processes that the supervisor restarted: ${JSON.stringify(restarted)}`,
    );
  }, 900_000);

  it('leaves an audit log that verifies', async () => {
    const report = await expectSoundAudit(stack, api);
    expect(report.size).toBeGreaterThanOrEqual(KILLS * 2);
    figure(`audit after killing ${name}: verified, ${report.size} records, ${report.checkpointCount} checkpoints`);
  }, 60_000);
});
