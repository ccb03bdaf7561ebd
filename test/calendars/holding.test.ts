import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  claimTargets,
  lockAssets,
  lockRun,
  openLane,
  postponeClosed,
  readRunCalendar,
  readTimeLeft,
  saveLockedRun,
  type ClaimedTarget,
} from '@fettle/database';
import { applyDocuments, cancelRun, holdForCalendar, startRun, type OperationContext } from '@fettle/operations';
import type { RunSummary } from '@fettle/contracts';
import { TestStack } from '../support/stack.js';

/** What the rows of runs say, of which no worker knows. */
let stack: TestStack;

const HOUR = 3_600_000;
const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

function applyCalendar(name: string, spec: object): Promise<unknown> {
  const source = JSON.stringify({ apiVersion: 'fettle/v1', kind: 'Calendar', metadata: { name }, spec });
  return stack.inTransaction((context) => applyDocuments(context, { source }));
}

const later = (fromHours: number) => ({
  windows: [{ from: iso(Date.now() + fromHours * HOUR), to: iso(Date.now() + (fromHours + 1) * HOUR) }],
});

type Request = Partial<Parameters<typeof startRun>[1]>;
type Options = Parameters<typeof startRun>[2];
function start(runbook: string, request: Request = {}, options: Options = {}, narrow = keep): Promise<RunSummary> {
  return stack.inTransaction((context) =>
    startRun(narrow(context), { space: 'default', runbook, inputs: {}, allowEmpty: false, ...request }, options),
  );
}
const keep = (context: OperationContext): OperationContext => context;
const calledBy = ({ id }: RunSummary): Options => ({
  parent: { runId: id, path: 'call', depth: 1, closure: null, inheritsTargets: false },
});

async function begun(run: RunSummary): Promise<RunSummary> {
  await stack.dataSource.query(`UPDATE run SET state = 'running', started_at = now() WHERE id = $1`, [run.id]);
  return run;
}
const hold = ({ id }: RunSummary): Promise<number | null> =>
  stack.dataSource.transaction((transaction) => holdForCalendar(transaction, id));
const calendarOf = ({ id }: RunSummary) => readRunCalendar(stack.dataSource.manager, id);

interface Row {
  readonly closed_since: Date | null;
  readonly opens_at: unknown;
  readonly deadline_at: Date;
}
async function row({ id }: RunSummary): Promise<Row> {
  const rows: Row[] = await stack.dataSource.query(
    `SELECT closed_since, opens_at::text, deadline_at FROM run WHERE id = $1`,
    [id],
  );
  return rows[0]!;
}
const passed = ({ id }: RunSummary): Promise<unknown> =>
  stack.dataSource.query(`UPDATE run SET deadline_at = now() - interval '1 second' WHERE id = $1`, [id]);

const change = { id: 'do', uses: 'ssh.run', with: { argv: ['true'], effect: 'mutating' } };

beforeAll(async () => {
  stack = await TestStack.create();
  await stack.dataSource.query(
    `INSERT INTO asset (id, space, name, kind, labels) VALUES
       (gen_random_uuid(), 'default', 'one', 'server', '{"env": "prod"}'),
       (gen_random_uuid(), 'default', 'two', 'server', '{"env": "prod"}'),
       (gen_random_uuid(), 'default', 'free', 'server', '{"env": "test"}')`,
  );
  await applyCalendar('nights', later(1));
  const targets = 'asset.labels.env == "prod"';
  await stack.addRunbook('named', { targets, calendars: ['nights'], steps: [change] });
  await stack.addRunbook('plain', { targets, steps: [change] });
  await stack.addRunbook('parks', { targets, onClose: 'park', steps: [change] });
}, 60_000);

afterAll(async () => {
  await stack?.close();
});

describe('an override', () => {
  it('reaches a called run only with the right to it there', async () => {
    const caller = await begun(await start('named', { overrideCalendar: 'now' }));
    const allowed = await start('named', {}, calledBy(caller));
    expect((await calendarOf(allowed))?.override).toMatchObject({ reason: 'now' });
    const narrow = (context: OperationContext): OperationContext => ({
      ...context,
      scopeOf: (permission) => (permission === 'calendar:override' ? [] : null),
    });
    const denied = await start('named', {}, calledBy(caller), narrow);
    expect((await calendarOf(denied))?.override).toBeNull();
    expect((await row(denied)).opens_at).not.toBeNull();
  });
});

describe('what a schedule says of a close', () => {
  it('holds for runs that its run calls, as the runbook itself does otherwise', async () => {
    const schedule = { onClose: 'park' as const };
    const caller = await begun(await start('plain', {}, { schedule }));
    expect((await calendarOf(await start('plain', {}, calledBy(caller))))?.onClose).toBe('park');
    const other = await begun(await start('named', { overrideCalendar: 'now' }));
    expect((await calendarOf(other))?.onClose).toBe('finish');
    expect((await calendarOf(await start('parks', {}, calledBy(other))))?.onClose).toBe('park');
  });
});

describe('the time of a run that waits whole', () => {
  it('goes on once it is cancelled', async () => {
    const run = await begun(await start('named', { whenClosed: 'wait' }));
    expect(await hold(run)).toBeGreaterThan(0);
    expect((await row(run)).closed_since).not.toBeNull();
    await stack.inTransaction((context) => cancelRun(context, run.id, {}));
    expect(await hold(run)).toBeNull();
    expect(await row(run)).toMatchObject({ closed_since: null, opens_at: null });
  });

  it('stands still for its callers, too, and is given back to them', async () => {
    const top = await begun(await start('plain'));
    const caller = await begun(await start('plain', {}, calledBy(top)));
    const called = await begun(await start('named', { whenClosed: 'wait' }, calledBy(caller)));
    await hold(called);
    for (const run of [top, caller]) {
      const { deadline_at: before } = await row(run);
      await passed(run);
      expect((await row(run)).closed_since).not.toBeNull();
      // As it was when it began to stand still.
      await stack.dataSource.query(
        `UPDATE run SET deadline_at = $2, closed_since = now() - interval '2 hours' WHERE id = $1`,
        [run.id, before],
      );
      expect(await readTimeLeft(stack.dataSource.manager, run.id)).toBeGreaterThan(600_000);
    }
    const deadline = (await row(top)).deadline_at.getTime();
    await stack.inTransaction((context) => cancelRun(context, called.id, {}));
    await hold(called);
    const after = await row(top);
    expect(after.closed_since).toBeNull();
    expect(after.deadline_at.getTime() - deadline).toBeGreaterThanOrEqual(2 * HOUR);
    expect((await row(caller)).closed_since).toBeNull();
  });

  it('goes on for a caller that has something else open', async () => {
    const caller = await begun(await start('plain'));
    const called = await begun(await start('named', { whenClosed: 'wait' }, calledBy(caller)));
    await begun(await start('plain', {}, calledBy(caller)));
    await hold(called);
    expect((await row(caller)).closed_since).toBeNull();
  });

  it('goes on where no opening is known any more, and then it waits no longer', async () => {
    await applyCalendar('over', later(1));
    await stack.addRunbook('by-over', { targets: 'asset.name == "one"', calendars: ['over'], steps: [change] });
    const run = await begun(await start('by-over', { whenClosed: 'wait' }));
    await hold(run);
    await applyCalendar('over', later(-3));
    expect(await hold(run)).toBeGreaterThan(0);
    expect(await row(run)).toMatchObject({ closed_since: null, opens_at: 'infinity' });
    await passed(run);
    expect(await readTimeLeft(stack.dataSource.manager, run.id)).toBeLessThanOrEqual(0);
    expect(await hold(run)).toBeNull();
  });
});

/** Claims all targets of a run in its one segment, as a lane does, and asks for their locks. */
async function claim(run: RunSummary, reach: 'asset' | 'run', shut: readonly string[] = [], again = HOUR) {
  return stack.dataSource.transaction(async (transaction) => {
    const { laneEpoch } = await openLane(transaction, run.id, 0, 'test');
    const locked = await lockRun(transaction, run.id);
    const lane = { runId: run.id, lane: 0, laneEpoch };
    const request = { ...lane, firstStep: 0, lastStep: 0, firstStepId: 'do', wave: 1, limit: 10 };
    const { targets } = await claimTargets(transaction, locked, request);
    const isShut = ({ assetName }: ClaimedTarget): boolean => shut.includes(assetName);
    const closed = { calendar: 'nights', reason: 'window' as const, nextOpenAt: iso(Date.now() + HOUR) };
    const lookAgainAt = new Date(Date.now() + again).toISOString();
    await postponeClosed(
      transaction,
      locked,
      targets.filter(isShut).map((target) => ({ ...closed, target, lookAgainAt })),
    );
    const open = targets.filter((target) => !isShut(target));
    const policy = { mode: 'exclusive' as const, rootRunId: run.id, wave: 1, reach };
    const held =
      open.length === 0 ? new Set() : await lockAssets(transaction, locked, { ...lane, ...policy, targets: open });
    await saveLockedRun(transaction, locked);
    return open.filter(({ assetId }) => held.has(assetId)).map(({ assetName }) => assetName);
  });
}
const end = (...runs: RunSummary[]): Promise<unknown> =>
  stack.dataSource.query(
    `UPDATE run_target SET state = 'succeeded', lane = NULL, lane_epoch = NULL WHERE run_id = ANY ($1)`,
    [runs.map(({ id }) => id)],
  );
/** What was claimed goes back, as it was before. */
const release = ({ id }: RunSummary, name: string): Promise<unknown> =>
  stack.dataSource.query(
    `UPDATE run_target SET state = 'pending', lane = NULL, lane_epoch = NULL, due_at = now() WHERE run_id = $1 AND asset_name = $2`,
    [id, name],
  );

describe('a target that waits for a calendar', () => {
  it('is not reserved with the others of its run', async () => {
    const [waits, other] = [
      await begun(await start('plain')),
      await begun(await start('plain', { on: 'asset.name == "two"' })),
    ];
    expect(await claim(waits, 'run', ['two'])).toEqual(['one']);
    expect(await claim(other, 'asset')).toEqual(['two']);
    await end(waits, other);
  });

  it('gives a reservation back, and its place in the line', async () => {
    const [waits, other] = [
      await begun(await start('plain')),
      await begun(await start('plain', { on: 'asset.name == "two"' })),
    ];
    expect((await claim(waits, 'run')).sort()).toEqual(['one', 'two']);
    await release(waits, 'two');
    expect(await claim(other, 'asset')).toEqual([]);
    await release(other, 'two');
    expect(await claim(waits, 'run', ['two'])).toEqual([]);
    expect(await claim(other, 'asset')).toEqual(['two']);
    await end(waits, other);
  });

  it('is left to its run by one that wants more which that run holds', async () => {
    const [waits, other] = [await begun(await start('plain')), await begun(await start('plain'))];
    expect(await claim(waits, 'run', ['two'])).toEqual(['one']);
    // It would hold "two" and wait for "one", while the other run may come to wait for "two".
    expect(await claim(other, 'run')).toEqual([]);
    await end(waits);
    await release(other, 'one');
    await release(other, 'two');
    expect((await claim(other, 'run')).sort()).toEqual(['one', 'two']);
    await end(other);
  });

  it('is due a second later at the earliest, whatever the clock of the worker says', async () => {
    const run = await begun(await start('plain', { on: 'asset.name == "one"' }));
    await claim(run, 'asset', ['one'], -HOUR);
    const rows: { ms: number }[] = await stack.dataSource.query(
      `SELECT (extract(epoch FROM due_at - now()) * 1000)::float8 AS ms FROM run_target WHERE run_id = $1`,
      [run.id],
    );
    expect(rows[0]?.ms).toBeGreaterThan(0);
    await end(run);
  });

  it('has its run woken when a calendar is changed', async () => {
    const run = await begun(await start('plain', { on: 'asset.name == "one"' }));
    await claim(run, 'asset', ['one']);
    await applyCalendar('nights', later(2));
    const woken: unknown[] = await stack.dataSource.query(
      `SELECT 1 FROM outbox WHERE subject = $1 AND kind = 'wake-run' AND payload->>'path' = '#targets'`,
      [`run-${run.id}`],
    );
    expect(woken).toHaveLength(1);
    await end(run);
  });
});
