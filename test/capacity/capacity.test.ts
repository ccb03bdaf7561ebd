import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  endRun,
  freeCapacity,
  freeRun,
  listFreeableRuns,
  saveCapacityLimit,
  takeCapacity,
  type CapacityTaken,
} from '@fettle/database';
import {
  decideGrants,
  isImpossible,
  mergeWants,
  queuePosition,
  type CapacityRequest,
  type Want,
} from '@fettle/runbook';
import { TestStack } from '../support/stack.js';
import { seededRandom } from '../chaos/append-runs.js';

const long = process.env.FETTLE_LONG === '1';
const SEQUENCES = long ? 300 : 12;
const OPERATIONS = 25;
const KEYS = ['db:a', 'host:b', 'site:c', 'site:d'];
const TAKERS = 24;

let stack: TestStack;
const random = seededRandom();
const below = (limit: number): number => Math.floor(random() * limit);

beforeAll(async () => {
  stack = await TestStack.create();
  await stack.addRunbook('idle', {
    steps: [
      look('look'),
      { id: 'outer', try: [{ id: 'each', forEach: { items: ['ber'], as: 'site', steps: [look('inner')] } }] },
      look('beside'),
    ],
  });
}, 60_000);
afterAll(() => stack?.close());

function look(id: string) {
  return { id, uses: 'http.request', timeout: '10m', with: { url: 'http://127.0.0.1:1/', method: 'GET' } };
}

/** A run that no worker takes up. */
async function newRun(): Promise<string> {
  return (await stack.start('idle')).id;
}

interface TakeOptions {
  readonly path?: string;
  readonly priority?: number;
}

function take(runId: string, wants: readonly Want[], options: TakeOptions = {}): Promise<CapacityTaken> {
  const { path = 'step', priority = 0 } = options;
  return stack.dataSource.transaction((transaction) =>
    takeCapacity(transaction, { runId, path, wants: mergeWants(wants), priority }),
  );
}

function free(runId: string, path = 'step'): Promise<void> {
  return stack.dataSource.transaction((transaction) => freeCapacity(transaction, runId, path));
}

function setLimit(key: string, units: number): Promise<void> {
  const document = key.replace(':', '-');
  return stack.dataSource.transaction((transaction) =>
    saveCapacityLimit(transaction, { space: 'default', key, units, document }),
  );
}

function one(key: string, units = 1): Want[] {
  return [{ key, units }];
}

async function entries(runId: string): Promise<{ kind: string; step: string | null; data: Record<string, unknown> }[]> {
  return stack.dataSource.query(
    `SELECT kind, step, data FROM entry WHERE run_id = $1 AND kind LIKE 'capacity-%' ORDER BY seq`,
    [runId],
  );
}

async function wakes(runId: string): Promise<number> {
  const rows: { n: number }[] = await stack.dataSource.query(
    `SELECT count(*) AS n FROM outbox WHERE kind = 'wake-run' AND subject = (SELECT workflow_id FROM run WHERE id = $1)
       AND payload ->> 'path' = 'step#capacity'`,
    [runId],
  );
  return rows[0]!.n;
}

/** What the database holds, as the model has it. */
async function stored(): Promise<Record<string, boolean>> {
  const rows: { run_id: string; granted: boolean }[] = await stack.dataSource.query(
    `SELECT run_id, granted_at IS NOT NULL AS granted FROM capacity_request`,
  );
  return Object.fromEntries(rows.map((row) => [row.run_id, row.granted]));
}

describe('capacity in Postgres', () => {
  it(`does what the arithmetic says, in ${SEQUENCES} sequences of takes, frees and changed limits`, async () => {
    const pool = await Promise.all(Array.from({ length: OPERATIONS }, newRun));
    let waited = 0;
    for (let sequence = 0; sequence < SEQUENCES; sequence += 1) {
      const limits = new Map<string, number>();
      const change = async (key: string): Promise<void> => {
        limits.set(key, 1 + below(5));
        await setLimit(key, limits.get(key)!);
      };
      for (const key of KEYS.slice(0, 3)) await change(key);
      let model: CapacityRequest[] = [];
      const settle = (): void => {
        const granted = decideGrants(model, limits);
        model = model.map((request) => (granted.includes(request.id) ? { ...request, isGranted: true } : request));
      };
      const unused = [...pool];
      for (let operation = 0; operation < OPERATIONS; operation += 1) {
        const kind = below(10);
        const known = model[below(model.length)];
        if (kind < 5) {
          const id = unused.pop()!;
          const wants = mergeWants(KEYS.filter(() => random() < 0.5).map((key) => ({ key, units: 1 + below(3) })));
          if (wants.length === 0 || isImpossible({ wants }, limits)) continue;
          const priority = below(3);
          model.push({ id, wants, priority, arrival: operation, isGranted: false });
          settle();
          const expected = model.find((request) => request.id === id)!.isGranted;
          const taken = await take(id, wants, { priority });
          expect(taken.kind).toBe(expected ? 'granted' : 'queued');
          if (taken.kind === 'queued') {
            waited += 1;
            expect(taken.position).toBe(queuePosition(model, id));
            expect(taken.waitsFor.length).toBeGreaterThan(0);
          }
        } else if (kind < 9 && known) {
          model = model.filter((request) => request.id !== known.id);
          settle();
          await free(known.id);
        } else {
          await change(KEYS[below(3)]!);
          settle();
        }
        expect(await stored()).toEqual(Object.fromEntries(model.map(({ id, isGranted }) => [id, isGranted])));
      }
      for (const { id } of model) await free(id);
    }
    expect(waited).toBeGreaterThan(SEQUENCES / 4);
    await stack.dataSource.query(`DELETE FROM capacity_limit`);
  }, 900_000);

  it(`never exceeds a limit and serves everybody, with ${TAKERS} runs that take and give back at once`, async () => {
    await setLimit('site:c', 5);
    await setLimit('host:b', 2);
    const over = (): Promise<unknown[]> =>
      stack.dataSource.query(
        `SELECT w.key, sum(w.units) FROM capacity_want w JOIN capacity_request q USING (run_id, path)
         LEFT JOIN capacity_limit l ON l.space = w.space AND l.key = w.key
         WHERE q.granted_at IS NOT NULL GROUP BY w.key, l.units HAVING sum(w.units) > coalesce(l.units, 1)`,
      );
    const runIds = await Promise.all(Array.from({ length: TAKERS }, newRun));
    let queued = 0;
    await Promise.all(
      runIds.map(async (runId) => {
        // Each in an order of its own: the keys are taken all at once all the same.
        const wants = [...KEYS]
          .sort(() => random() - 0.5)
          .slice(0, 1 + below(3))
          .map((key) => one(key, key === 'site:c' ? 1 + below(3) : 1)[0]!);
        for (let attempt = 0; ; attempt += 1) {
          if ((await take(runId, wants)).kind === 'granted') break;
          if (attempt === 0) queued += 1;
          await sleep(5);
        }
        expect(await over()).toEqual([]);
        await sleep(below(20));
        await free(runId);
      }),
    );
    expect(queued).toBeGreaterThan(0);
    expect(await stored()).toEqual({});
    await stack.dataSource.query(`DELETE FROM capacity_limit`);
  }, 120_000);

  it('says place and reason, wakes whoever got something, and writes it down once', async () => {
    const [holder, first, second] = await Promise.all([newRun(), newRun(), newRun()]);
    expect(await take(holder, one('db:billing'))).toEqual({ kind: 'granted' });
    expect(await take(holder, one('db:billing'))).toEqual({ kind: 'granted' });
    const shortage = {
      key: 'db:billing',
      limit: 1,
      used: 1,
      units: 1,
      holders: [{ runId: holder, runbook: 'idle', path: 'step', units: 1 }],
    };
    expect(await take(first, one('db:billing'))).toEqual({ kind: 'queued', position: 1, waitsFor: [shortage] });
    expect(await take(second, one('db:billing'))).toEqual({ kind: 'queued', position: 2, waitsFor: [shortage] });
    expect(await take(second, one('db:billing'))).toMatchObject({ kind: 'queued', position: 2 });
    await free(holder);
    await free(holder);
    expect([await wakes(first), await wakes(second)]).toEqual([1, 0]);
    expect(await take(second, one('db:billing'))).toMatchObject({ kind: 'queued', position: 1 });
    expect(await take(first, one('db:billing'))).toEqual({ kind: 'granted' });
    expect(await take(first, one('db:billing'))).toEqual({ kind: 'granted' });
    expect((await entries(first)).map((entry) => [entry.kind, entry.step])).toEqual([
      ['capacity-queued', 'step'],
      ['capacity-granted', 'step'],
    ]);
    expect((await entries(second)).map((entry) => entry.kind)).toEqual(['capacity-queued']);
    expect((await entries(holder)).map((entry) => entry.kind)).toEqual(['capacity-granted', 'capacity-freed']);
    await stack.dataSource.transaction((transaction) => freeRun(transaction, first));
    expect(await wakes(second)).toBe(1);
    expect(await take(second, one('db:billing'))).toEqual({ kind: 'granted' });
    await free(second);
  });

  it('refuses what no key ever has, and keeps nothing of it', async () => {
    const runId = await newRun();
    await expect(take(runId, [...one('db:a'), ...one('host:b', 2)])).rejects.toMatchObject({
      code: 'capacity-impossible',
      message: 'Step "step" wants 2 units of host:b, which has 1 in all.',
    });
    expect(await stored()).toEqual({});
  });

  it('a lowered limit that takes one out of the queue lets those behind it go on, on its other keys as well', async () => {
    await setLimit('db:a', 2);
    const [holder, large, behind] = await Promise.all([newRun(), newRun(), newRun()]);
    await take(holder, one('db:a'));
    expect(await take(large, [...one('db:a', 2), ...one('host:b')])).toMatchObject({ kind: 'queued' });
    expect(await take(behind, one('host:b'))).toMatchObject({ kind: 'queued', position: 2, waitsFor: [{ used: 0 }] });
    await setLimit('db:a', 1);
    expect(await stored()).toEqual({ [holder]: true, [large]: false, [behind]: true });
    expect(await wakes(behind)).toBe(1);
    for (const runId of [holder, large, behind]) await free(runId);
    await stack.dataSource.query(`DELETE FROM capacity_limit`);
  });

  it('what is held around a step covers it, in the run and in those that it calls', async () => {
    const [parent, child, grandchild, other] = await Promise.all([newRun(), newRun(), newRun(), newRun()]);
    const call = (runId: string, by: string, path: string): Promise<unknown> =>
      stack.dataSource.query(`UPDATE run SET parent_run_id = $2, parent_path = $3 WHERE id = $1`, [runId, by, path]);
    await call(child, parent, 'each[ber]/inner');
    await call(grandchild, child, 'beside');
    await setLimit('site:c', 3);
    await take(parent, [...one('db:a'), ...one('site:c', 1)], { path: '' });
    expect(await take(parent, one('db:a'))).toEqual({ kind: 'granted' });
    expect(await take(parent, one('host:b'), { path: 'outer' })).toEqual({ kind: 'granted' });
    // A neighbour's grant is nobody else's.
    expect(await take(parent, one('host:b'), { path: 'beside' })).toMatchObject({ kind: 'queued' });
    expect(await take(parent, one('host:b'), { path: 'each[ber]/inner' })).toEqual({ kind: 'granted' });
    expect(await take(child, one('host:b'))).toEqual({ kind: 'granted' });
    await call(other, parent, 'beside');
    expect(await take(other, one('host:b'), { path: 'look' })).toMatchObject({ kind: 'queued' });
    await free(other, 'look');
    await stack.dataSource.query(`UPDATE run SET parent_run_id = NULL, parent_path = NULL WHERE id = $1`, [other]);
    expect(await take(grandchild, [...one('db:a'), ...one('site:c', 3)])).toEqual({ kind: 'granted' });
    expect(await take(other, one('site:c'))).toMatchObject({ kind: 'queued', waitsFor: [{ used: 3 }] });
    expect(await take(other, one('db:a'), { path: 'else' })).toMatchObject({ kind: 'queued', waitsFor: [{ used: 1 }] });
    for (const runId of [grandchild, child, parent, other])
      await stack.dataSource.transaction((transaction) => freeRun(transaction, runId));
    expect(await stored()).toEqual({});
  });

  it('the end of a run gives everything back, unless a step may still be at work', async () => {
    const [clean, lost, next] = await Promise.all([newRun(), newRun(), newRun()]);
    const end = (runId: string): Promise<unknown> =>
      stack.dataSource.transaction((transaction) => endRun(transaction, runId, 'failed', null));
    await take(clean, one('db:a'));
    await take(clean, one('host:b'), { path: '' });
    await end(clean);
    await expect(take(clean, one('db:a'))).rejects.toMatchObject({ code: 'run-ended' });
    expect((await entries(clean)).map((entry) => [entry.kind, entry.step])).toEqual([
      ['capacity-granted', 'step'],
      ['capacity-granted', null],
      ['capacity-freed', null],
      ['capacity-freed', 'step'],
    ]);
    await take(lost, one('db:a'), { path: 'look' });
    await take(lost, one('db:a'), { path: 'another' });
    await stack.dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, generation, lane_epoch, token, state, started_at)
       VALUES ($1, '00000000-0000-0000-0000-000000000000', 'look', 1, 1, 'token', 'started', now())`,
      [lost],
    );
    await end(lost);
    expect(await take(next, one('db:a'))).toMatchObject({ kind: 'queued', waitsFor: [{ holders: [{ runId: lost }] }] });
    const [kept] = (await entries(lost)).filter((entry) => entry.kind === 'capacity-kept');
    // The step's own time limit of ten minutes.
    const keptMs = Date.parse(String(kept!.data.until)) - Date.now();
    expect(keptMs).toBeGreaterThan(9 * 60_000);
    expect(keptMs).toBeLessThanOrEqual(10 * 60_000);
    expect(kept!.data).toMatchObject({ path: 'look', steps: ['look'] });
    expect(await listFreeableRuns(stack.dataSource.manager, 10)).toEqual([]);
    await stack.dataSource.query(
      `UPDATE capacity_request SET kept_until = now() - interval '1 second' WHERE run_id = $1`,
      [lost],
    );
    expect(await listFreeableRuns(stack.dataSource.manager, 10)).toEqual([lost]);
    await stack.dataSource.transaction((transaction) => freeRun(transaction, lost));
    expect(await take(next, one('db:a'))).toEqual({ kind: 'granted' });
    await end(next);
    expect(await stored()).toEqual({});
  });
});
