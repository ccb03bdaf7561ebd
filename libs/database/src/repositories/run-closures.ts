import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import type { StoredClosure } from './calendars.js';
import { appendEntries, lockRun, moveCount, saveLockedRun, type LockedRun } from './run-entries.js';
import type { ClaimRequest } from './run-claims.js';
import type { ClaimedTarget } from './run-lanes.js';

/** How a run stands to calendars, as it stands in its row. */
export interface StoredRunCalendar {
  /** Calendars that its runbook and its schedule name: each group is of one of them, and all have to be open. */
  readonly named: readonly (readonly string[])[];
  readonly onClose: 'finish' | 'park';
  readonly override: { readonly by: string; readonly reason: string; readonly at: string } | null;
  /** It changes nothing, and is held by no calendar. */
  readonly onlyLooks: boolean;
  /** What its schedule says of `onClose`: it holds for runs that are called or resumed, too. Absent: nothing. */
  readonly scheduleOnClose?: 'finish' | 'park' | undefined;
}

export async function saveRunCalendar(
  transaction: Transaction,
  runId: string,
  calendar: StoredRunCalendar,
  opensAt: string | null,
): Promise<void> {
  await transaction.query(`UPDATE run SET calendar = $2, opens_at = $3 WHERE id = $1`, [
    runId,
    JSON.stringify(calendar),
    opensAt,
  ]);
}

export async function readRunCalendar(transaction: Transaction, runId: string): Promise<StoredRunCalendar | null> {
  const rows: { calendar: StoredRunCalendar | null }[] = await transaction.query(
    `SELECT calendar FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0]?.calendar ?? null;
}

/** Entries that one statement writes about targets that wait; a run that waits for more says how many. */
const MAX_TOLD = 100;

export interface ClosedTarget extends StoredClosure {
  readonly target: ClaimedTarget;
  /** When it looks again at the latest. */
  readonly lookAgainAt: string;
}

/** Takes back the claims of targets whose calendars are closed: they are as they were before, and due when they may look again. */
export async function postponeClosed(
  transaction: Transaction,
  run: LockedRun,
  targets: readonly ClosedTarget[],
): Promise<void> {
  await dropReservations(transaction, run.id, targets);
  const rows = targets.map(({ target, lookAgainAt, calendar, reason, nextOpenAt }) => ({
    asset_id: target.assetId,
    state: target.state,
    lane: target.lane,
    lane_epoch: target.laneEpoch,
    again: lookAgainAt,
    closed: { calendar, reason, nextOpenAt },
  }));
  const told: { asset_id: string }[] = await transaction.query(
    `WITH back AS (
       SELECT b.* FROM jsonb_to_recordset($2::jsonb)
         AS b (asset_id uuid, state text, lane integer, lane_epoch integer, again timestamptz, closed jsonb)),
     -- Nobody waits behind it meanwhile: it gets in line anew.
     line AS (
       DELETE FROM asset_lock_wait w USING back WHERE w.run_id = $1 AND w.asset_id = back.asset_id AND back.state = 'pending'),
     was AS (
       SELECT t.asset_id, t.closed FROM run_target t JOIN back ON back.asset_id = t.asset_id WHERE t.run_id = $1),
     put AS (
       UPDATE run_target t SET lane = NULL, lane_epoch = NULL, state = back.state, closed = back.closed,
         -- The clock of whoever asked the calendar may go before that of the database.
         due_at = greatest(back.again, clock_timestamp() + interval '1 second'),
         started_at = CASE back.state WHEN 'pending' THEN NULL ELSE t.started_at END
       FROM back WHERE t.run_id = $1 AND t.asset_id = back.asset_id AND t.lane = back.lane AND t.lane_epoch = back.lane_epoch
       RETURNING t.asset_id, t.closed)
     SELECT put.asset_id FROM put JOIN was USING (asset_id) WHERE was.closed IS DISTINCT FROM put.closed`,
    [run.id, JSON.stringify(rows)],
  );
  for (const { target } of targets) if (target.state === 'pending') moveCount(run.counts, 'running', 'pending');
  const news = new Set(told.map((row) => row.asset_id));
  const entries = targets.filter(({ target }) => news.has(target.assetId));
  await appendEntries(
    transaction,
    run,
    entries.slice(0, MAX_TOLD).map(({ target, calendar, reason, nextOpenAt }) => ({
      kind: 'target-closed',
      assetId: target.assetId,
      data: { calendar, reason, nextOpenAt, ...(entries.length > MAX_TOLD ? { of: entries.length } : {}) },
    })),
  );
}

/** Nobody waits for an asset behind a target that has not begun and waits for a calendar: it gets the lock anew when it may begin. */
async function dropReservations(
  transaction: Transaction,
  runId: string,
  targets: readonly ClosedTarget[],
): Promise<void> {
  const ids = targets.filter(({ target }) => target.state === 'pending').map(({ target }) => target.assetId);
  if (ids.length === 0) return;
  await transaction.query(
    `WITH mine AS (
       SELECT asset_id FROM asset_lock WHERE asset_id = ANY ($2) AND holders @> ARRAY[$1::uuid] ORDER BY asset_id FOR UPDATE)
     UPDATE asset_lock l SET (holders, roots) = (
       SELECT coalesce(array_agg(h.run_id), '{}'), coalesce(array_agg(h.root), '{}')
       FROM unnest(l.holders, l.roots) AS h (run_id, root) WHERE h.run_id <> $1)
     FROM mine WHERE l.asset_id = mine.asset_id`,
    [runId, ids],
  );
}

/** Targets that were put off go on. */
export async function forgetClosures(
  transaction: Transaction,
  runId: string,
  assetIds: readonly string[],
): Promise<void> {
  await transaction.query(
    `UPDATE run_target SET closed = NULL WHERE run_id = $1 AND asset_id = ANY ($2) AND closed IS NOT NULL`,
    [runId, assetIds],
  );
}

/**
 * Writes whether anything of a run can go on: while all that a wave has left waits for a calendar, its deadline stands still, unless one
 * of them has no opening that is known: then the time goes on, or the run would never end. Called where a claim came back empty and nothing is in flight, and where something was claimed.
 */
export async function noteClosure(
  transaction: Transaction,
  run: LockedRun,
  request: Pick<ClaimRequest, 'wave' | 'firstStep' | 'lastStep'>,
  isIdle: boolean,
): Promise<void> {
  if (isIdle === run.isClosed) return;
  if (!isIdle) return reopen(transaction, run);
  const rows: { closed: StoredClosure | null; others: boolean }[] = await transaction.query(
    `SELECT (SELECT closed FROM run_target WHERE run_id = $1 AND wave = $2 AND state IN ('pending', 'running')
         AND step_index BETWEEN $3 AND $4 AND closed IS NOT NULL ORDER BY due_at LIMIT 1) AS closed,
       EXISTS (SELECT 1 FROM run_target WHERE run_id = $1 AND wave = $2 AND state IN ('pending', 'running')
         AND step_index BETWEEN $3 AND $4
         AND (closed IS NULL OR closed->>'nextOpenAt' IS NULL OR due_at <= clock_timestamp())) AS others`,
    [run.id, request.wave, request.firstStep, request.lastStep],
  );
  const [row] = rows;
  if (row?.closed === null || row?.closed === undefined || row.others) return;
  await closeRun(transaction, run, row.closed);
}

async function closeRun(transaction: Transaction, run: LockedRun, closed: StoredClosure): Promise<void> {
  await transaction.query(`UPDATE run SET closed_since = clock_timestamp() WHERE id = $1`, [run.id]);
  await closeCallers(transaction, run.id);
  await appendEntries(transaction, run, [{ kind: 'run-closed', data: { ...closed } }]);
}

/** Calls that are this deep are not made. */
const MAX_CALLERS = 50;
/** Nothing of run p can go on: all that it has open are runs that it calls, and those wait for a calendar. */
const waitsForCalls = `(EXISTS (SELECT 1 FROM run c WHERE c.parent_run_id = p.id AND c.ended_at IS NULL AND c.closed_since IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM run c WHERE c.parent_run_id = p.id AND c.ended_at IS NULL AND c.closed_since IS NULL)
  AND NOT EXISTS (SELECT 1 FROM run_target t WHERE t.run_id = p.id AND (t.lane IS NOT NULL OR t.is_parked)))`;

/** The time of whoever calls a run stands still with it, where nothing else of his goes on. */
async function closeCallers(transaction: Transaction, runId: string): Promise<void> {
  let calledId: string | undefined = runId;
  for (let depth = 0; calledId !== undefined && depth < MAX_CALLERS; depth += 1) {
    const rows: { id: string }[] = await updateRows(
      transaction,
      `UPDATE run p SET closed_since = clock_timestamp() FROM run called
       WHERE called.id = $1 AND p.id = called.parent_run_id AND p.ended_at IS NULL AND p.closed_since IS NULL AND ${waitsForCalls}
       RETURNING p.id`,
      [calledId],
    );
    calledId = rows[0]?.id;
  }
}

/** A called run goes on, or has ended: the time of its callers goes on, unless all else that they call still waits. */
export async function reopenCallers(transaction: Transaction, runId: string): Promise<void> {
  let calledId: string | undefined = runId;
  for (let depth = 0; calledId !== undefined && depth < MAX_CALLERS; depth += 1) {
    const rows: { id: string }[] = await updateRows(
      transaction,
      `UPDATE run p SET deadline_at = p.deadline_at + (clock_timestamp() - p.closed_since), closed_since = NULL FROM run called
       WHERE called.id = $1 AND p.id = called.parent_run_id AND p.closed_since IS NOT NULL AND p.opens_at IS NULL
         AND NOT ${waitsForCalls}
       RETURNING p.id`,
      [calledId],
    );
    calledId = rows[0]?.id;
  }
}

/** The time that nothing could be done in is given back. */
async function reopen(transaction: Transaction, run: LockedRun): Promise<void> {
  const [row] = await updateRows<{ ms: number }>(
    transaction,
    `WITH was AS (SELECT id, clock_timestamp() - closed_since AS waited,
         CASE WHEN started_at IS NULL THEN interval '0' ELSE clock_timestamp() - greatest(closed_since, started_at) END AS stood
       FROM run WHERE id = $1)
     UPDATE run r SET deadline_at = r.deadline_at + was.waited, closed_since = NULL, opens_at = NULL,
       closed_ms = r.closed_ms + (extract(epoch FROM was.stood) * 1000)::bigint
     FROM was WHERE r.id = was.id
     RETURNING (extract(epoch FROM was.waited) * 1000)::float8 AS ms`,
    [run.id],
  );
  await reopenCallers(transaction, run.id);
  await appendEntries(transaction, run, [{ kind: 'run-reopened', data: { waitedMs: Math.round(row?.ms ?? 0) } }]);
}

/** Whether the whole run waits. */
export interface Opening {
  readonly waits: boolean;
  readonly hasEnded: boolean;
  readonly isCancelled: boolean;
}

/** Whether the whole run waits, and is to go on doing so. */
export async function readOpening(transaction: Transaction, runId: string): Promise<Opening> {
  const rows: Opening[] = await transaction.query(
    `SELECT opens_at IS NOT NULL AS waits, state <> 'running' AS "hasEnded", cancel_requested_at IS NOT NULL AS "isCancelled"
     FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0] ?? { waits: false, hasEnded: true, isCancelled: false };
}

/** The whole run waits (on) for a calendar, or goes on (`closed` null). */
export async function holdRun(transaction: Transaction, runId: string, closed: StoredClosure | null): Promise<void> {
  const run = await lockRun(transaction, runId);
  if (closed === null) {
    if (run.isClosed) await reopen(transaction, run);
    else await transaction.query(`UPDATE run SET opens_at = NULL WHERE id = $1`, [runId]);
  } else {
    // Where no opening is known its time goes on: it would never end.
    if (run.isClosed && closed.nextOpenAt === null) await reopen(transaction, run);
    await transaction.query(`UPDATE run SET opens_at = $2 WHERE id = $1`, [runId, closed.nextOpenAt ?? 'infinity']);
    if (!run.isClosed && closed.nextOpenAt !== null) await closeRun(transaction, run, closed);
  }
  await saveLockedRun(transaction, run);
}

/**
 * Milliseconds until a run's time is over, by its row: while nothing of it can go on, its deadline stands still, and this is at least
 * what is left of it once a target may look again. Not above 0: it is over.
 */
export async function readTimeLeft(transaction: Transaction, runId: string): Promise<number> {
  const rows: { ms: number }[] = await transaction.query(
    `SELECT (extract(epoch FROM r.deadline_at - coalesce(r.closed_since, clock_timestamp())) * 1000
       + CASE WHEN r.closed_since IS NULL THEN 0 ELSE greatest(1000, least(600000,
           CASE WHEN EXISTS (SELECT 1 FROM run c WHERE c.parent_run_id = r.id AND c.ended_at IS NULL AND c.closed_since IS NOT NULL)
             THEN 600000 ELSE extract(epoch FROM least(r.opens_at, (SELECT min(due_at) FROM run_target t
               WHERE t.run_id = r.id AND t.state IN ('pending', 'running'))) - clock_timestamp()) * 1000 END)) END)::float8 AS ms
     FROM run r WHERE r.id = $1`,
    [runId],
  );
  return Math.ceil(rows[0]?.ms ?? 0);
}

/** Runs that a changed calendar concerns. */
export interface ClosedRuns {
  /** Those with targets that look again now. */
  readonly withTargets: readonly string[];
  /** Those that wait whole. */
  readonly whole: readonly string[];
}

/** Has targets look at once that wait for a calendar, in all open runs of a space: a calendar was changed. */
export async function lookAtClosedNow(transaction: Transaction, space: string): Promise<ClosedRuns> {
  // Two that change calendars at once would come to the rows in different orders.
  await transaction.query(`SELECT pg_advisory_xact_lock(7073)`);
  // The run first, as whoever claims does; called runs before those that call them.
  const locked: { id: string }[] = await transaction.query(
    `SELECT r.id FROM run r WHERE r.space = $1 AND r.ended_at IS NULL AND EXISTS (SELECT 1 FROM run_target t
       WHERE t.run_id = r.id AND t.closed IS NOT NULL AND t.state IN ('pending', 'running')) ORDER BY r.id DESC FOR UPDATE OF r`,
    [space],
  );
  const due = await updateRows<{ run_id: string }>(
    transaction,
    `UPDATE run_target t SET due_at = clock_timestamp()
     WHERE t.run_id = ANY ($1) AND t.closed IS NOT NULL AND t.lane IS NULL
       AND t.state IN ('pending', 'running') AND t.due_at > clock_timestamp() RETURNING t.run_id`,
    [locked.map(({ id }) => id)],
  );
  const whole: { id: string }[] = await transaction.query(
    `SELECT id FROM run WHERE space = $1 AND ended_at IS NULL AND opens_at IS NOT NULL ORDER BY id`,
    [space],
  );
  return { withTargets: [...new Set(due.map((row) => row.run_id))], whole: whole.map((row) => row.id) };
}

/** How a run is shown to stand to calendars. */
export interface RunCalendarRow {
  readonly calendar: StoredRunCalendar | null;
  readonly closedSince: Date | null;
  readonly waiting: number;
}

export async function readRunCalendarRow(transaction: Transaction, runId: string): Promise<RunCalendarRow | null> {
  const rows: RunCalendarRow[] = await transaction.query(
    `SELECT r.calendar, r.closed_since AS "closedSince", (SELECT count(*)::integer FROM run_target t
       WHERE t.run_id = r.id AND t.closed IS NOT NULL AND t.state IN ('pending', 'running')) AS waiting
     FROM run r WHERE r.id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}
