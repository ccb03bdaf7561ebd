import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ApiProcess } from '../support/api-process.js';
import { figure } from '../support/figures.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { patiently, seededRandom } from './append-runs.js';
import { expectSoundAudit } from './sound-audit.js';

const long = process.env.FETTLE_LONG === '1';
const KILLS = long ? 20 : 4;
const CLIENTS = 4;
const RETRY_MS = 50;

interface Accepted {
  readonly key: string;
  readonly runId: string;
  /** Times the client asked: more than one where the connection was lost. */
  readonly tries: number;
}

describe(`kill -9 of the API, ${KILLS} times`, () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let api: ApiProcess;
  const random = seededRandom();

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 2);
    await stack.addRunbook('note', {
      targets: 'asset.kind == "server"',
      inputs: { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] },
      // It reads only: runs that change the same hosts would go one after the other.
      steps: [{ id: 'say', uses: 'ssh.run', with: { argv: ['echo', '${{ inputs.key }}'], effect: 'read-only' } }],
    });
    [worker, api] = await Promise.all([stack.startWorker(), ApiProcess.start(stack.environment)]);
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await api?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  /** Asks until it is answered, as a client does that does not know whether its request arrived. */
  async function start(key: string): Promise<Accepted> {
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await api.call('POST', '/api/v1/runs', {
          body: { runbook: 'note', inputs: { key } },
          headers: { 'idempotency-key': key },
        });
        expect({ key, status: answer.status, text: answer.status === 202 ? '' : answer.text }).toEqual({
          key,
          status: 202,
          text: '',
        });
        return { key, runId: String(answer.body.id), tries };
      } catch (error) {
        // fetch says a lost connection with a TypeError (of its own realm); all else is a failure of the test.
        const isLost = typeof error === 'object' && error !== null && 'name' in error && error.name === 'TypeError';
        if (!isLost || tries > 2000) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  it('loses no accepted run and makes one run of each key', async () => {
    const accepted: Accepted[] = [];
    let isOver = false;
    const client = async (number: number): Promise<void> => {
      for (let n = 0; !isOver; n += 1) {
        accepted.push(await start(`client-${number}-${n}`));
        await sleep(30);
      }
    };
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    // A failure of a client is seen at the end; until then it must not end the process.
    clients.catch(() => undefined);
    for (let kill = 1; kill <= KILLS; kill += 1) {
      // At least one run through each process, however slow the machine is; then at any moment.
      const before = accepted.length;
      while (accepted.length === before) await Promise.race([sleep(10), clients]);
      const delayMs = random() * 1200;
      await sleep(delayMs);
      const { port } = api;
      await api.stop('SIGKILL');
      api = await ApiProcess.start(stack.environment, { port });
      figure(`kill ${kill} of the API after ${Math.round(delayMs)} ms: ${accepted.length} runs accepted`);
    }
    await sleep(500);
    isOver = true;
    await clients;
    const repeated = accepted.filter((one) => one.tries > 1).length;
    expect(repeated).toBeGreaterThanOrEqual(1);
    expect(accepted.length).toBeGreaterThanOrEqual(KILLS);
    const rows: { id: string; key: string }[] = await stack.dataSource.query(
      `SELECT id, idempotency_key AS key FROM run ORDER BY idempotency_key`,
    );
    const byKey = new Map(rows.map((row) => [row.key, row.id]));
    expect(rows).toHaveLength(byKey.size);
    expect(byKey.size).toBe(accepted.length);
    for (const { key, runId } of accepted) expect({ key, runId: byKey.get(key) }).toEqual({ key, runId });
    await patiently(async () => {
      const open: unknown[] = await stack.dataSource.query(`SELECT id FROM run WHERE ended_at IS NULL`);
      if (open.length > 0) throw new Error(`${open.length} runs have not ended`);
    }, 120_000);
    const states: unknown[] = await stack.dataSource.query(`SELECT DISTINCT state FROM run`);
    expect(states).toEqual([{ state: 'succeeded' }]);
    figure(
      `${KILLS} kills of the API: ${accepted.length} runs accepted, ${repeated} of them asked for more than once; 0 lost, 0 twice, all succeeded`,
    );
  }, 900_000);

  it('leaves an audit log that verifies and has one record for each run', async () => {
    const report = await expectSoundAudit(stack, api);
    const rows: { runs: number; records: number }[] = await stack.dataSource.query(
      `SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM audit_record WHERE action = 'run.start') AS records`,
    );
    expect(rows[0]!.records).toBe(rows[0]!.runs);
    figure(`audit after killing the API: verified, ${report.size} records, ${report.checkpointCount} checkpoints`);
  }, 60_000);
});
