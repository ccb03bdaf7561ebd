import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freeCapacity, takeCapacity, type CapacityTaken } from '@fettle/database';
import { freeCapacityOfRun, getCapacity } from '@fettle/operations';
import { connectTemporal, terminateWorkflow } from '@fettle/temporal';
import { seededRandom } from '../chaos/append-runs.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';
import { testTemporal } from '../support/temporal.js';

const KILLS = process.env.FETTLE_LONG === '1' ? 10 : 2;
const KEY = 'db:billing';

let stack: TestStack;
let sshd: Sshd;
let worker: WorkerProcess;

beforeAll(async () => {
  [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  await stack.addHosts(sshd, 2);
  const targets = 'asset.labels.group == "host"';
  for (const effect of ['read-only', 'mutating']) {
    const step = { id: 'work', uses: 'ssh.run', timeout: '20m', with: { argv: ['sleep', '3'], effect } };
    await stack.addRunbook(effect, { targets, assetLock: 'shared', steps: [step] });
  }
  worker = await stack.startWorker();
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await stack?.close();
});

/** As the run's workflow asks. */
function take(runId: string): Promise<CapacityTaken> {
  return stack.dataSource.transaction((transaction) =>
    takeCapacity(transaction, { runId, path: 'work', wants: [{ key: KEY, units: 1 }], priority: 0 }),
  );
}

function use(): ReturnType<typeof getCapacity> {
  return getCapacity(stack.dataSource.manager, { space: 'default', key: KEY });
}

async function dispatched(runId: string): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    const rows: unknown[] = await stack.dataSource.query(
      `SELECT 1 FROM run_step WHERE run_id = $1 AND state = 'started'`,
      [runId],
    );
    if (rows.length > 0) return;
    await sleep(50);
  }
  throw new Error(`run ${runId} started nothing`);
}

describe('what a run holds when its worker is killed', () => {
  it(`is neither lost nor given back twice, ${KILLS} times`, async () => {
    const random = seededRandom();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const holder = await stack.start(kill % 2 === 0 ? 'read-only' : 'mutating');
      const next = await stack.start('read-only');
      expect(await take(holder.id)).toEqual({ kind: 'granted' });
      expect(await take(next.id)).toMatchObject({ kind: 'queued', position: 1 });
      await dispatched(holder.id);
      await sleep(random() * 1000);
      await worker.stop('SIGKILL');
      expect(await use()).toMatchObject({ used: 1, holders: [{ runId: holder.id }], queue: [{ runId: next.id }] });
      worker = await stack.startWorker();
      // The run goes on, or its targets are unknown: it comes to its end, and gives back then.
      const ended = await stack.ended(holder.id, 90_000);
      expect(ended.capacity).toBeUndefined();
      const nextEnded = await stack.ended(next.id, 90_000);
      expect(nextEnded).toMatchObject({ state: 'succeeded' });
      const granted: { at: Date }[] = await stack.dataSource.query(
        `SELECT at FROM entry WHERE run_id = $1 AND kind = 'capacity-freed' AND data ->> 'was' = 'held'`,
        [next.id],
      );
      // Granted by the holder's end, or still in the queue if its own end came first: then it left the queue.
      expect(granted.length).toBeLessThanOrEqual(1);
      await expect(use()).rejects.toMatchObject({ code: 'not-found' });
    }
  }, 600_000);

  it('is kept where the workflow is gone and a step may still be at work, until that time is over or a person says so', async () => {
    const holder = await stack.start('mutating');
    expect(await take(holder.id)).toEqual({ kind: 'granted' });
    await dispatched(holder.id);
    await worker.stop('SIGKILL');
    const temporal = connectTemporal({ ...testTemporal(), namespace: 'default' });
    const rows: { workflow_id: string }[] = await stack.dataSource.query(`SELECT workflow_id FROM run WHERE id = $1`, [
      holder.id,
    ]);
    await terminateWorkflow(temporal, rows[0]!.workflow_id, 'a test');
    await temporal.close();
    worker = await stack.startWorker();
    const ended = await stack.ended(holder.id, 90_000);
    expect(ended).toMatchObject({ state: 'failed', error: { code: 'workflow-closed' }, counts: { unknown: 2 } });
    const next = await stack.start('read-only');
    expect(await take(next.id)).toMatchObject({ kind: 'queued', waitsFor: [{ holders: [{ runId: holder.id }] }] });
    const { holders } = await use();
    const keptMs = Date.parse(holders[0]!.keptUntil!) - Date.now();
    // The step's own limit of twenty minutes, from the end of the run on.
    expect(keptMs).toBeGreaterThan(15 * 60_000);
    expect(keptMs).toBeLessThanOrEqual(20 * 60_000);
    await stack.inTransaction((context) => freeCapacityOfRun(context, holder.id, { reason: 'looked at both hosts' }));
    expect(await take(next.id)).toEqual({ kind: 'granted' });
    const audit: unknown[] = await stack.dataSource.query(
      `SELECT 1 FROM audit_record WHERE action = 'capacity.free' AND object_name = $1`,
      [holder.id],
    );
    expect(audit).toHaveLength(1);
    await stack.dataSource.transaction((transaction) => freeCapacity(transaction, next.id, 'work'));
    await stack.ended(next.id, 90_000);
  }, 240_000);

  it('is given back by the background task once it need not be kept any more', async () => {
    const holder = await stack.start('read-only');
    expect(await take(holder.id)).toEqual({ kind: 'granted' });
    await stack.ended(holder.id);
    // As `kept` leaves it, with its time over.
    await stack.dataSource.query(
      `INSERT INTO capacity_request (run_id, path, space, priority, granted_at, kept_until)
       VALUES ($1, 'work', 'default', 0, now(), now() - interval '1 second')`,
      [holder.id],
    );
    await stack.dataSource.query(
      `INSERT INTO capacity_want (run_id, path, space, key, units) VALUES ($1, 'work', 'default', $2, 1)`,
      [holder.id, KEY],
    );
    for (let tries = 0; tries < 300; tries += 1) {
      const rows: unknown[] = await stack.dataSource.query(`SELECT 1 FROM capacity_request`);
      if (rows.length === 0) return;
      await sleep(200);
    }
    throw new Error('the capacity of an ended run was not given back');
  }, 120_000);
});
