import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import type { StoredClosure } from './calendars.js';
import { appendEntries, lockRun, moveCount, saveLockedRun, type LockedRun } from './run-entries.js';
import type { ClaimRequest } from './run-claims.js';
import type { ClaimedTarget, LaneClaim } from './run-lanes.js';

/** How a run stands to calendars, as it stands in its row. */
export interface StoredRunCalendar {
  /** Calendars that its runbook and its schedule name: each group is of one of them, and all have to be open. */
  readonly named: readonly (readonly string[])[];
  readonly onClose: 'finish' | 'park';
  readonly override: { readonly by: string; readonly reason: string; readonly at: string } | null;
  /** It changes nothing, and is held by no calendar. */
  readonly onlyLooks: boolean;
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
  claim: LaneClaim,
  targets: readonly ClosedTarget[],
): Promise<void> {
  const rows = targets.map(({ target: { assetId, state }, lookAgainAt, calendar, reason, nextOpenAt }) => ({
    asset_id: assetId,
    state,
    again: lookAgainAt,
    closed: { calendar, reason, nextOpenAt },
  }));
  const told: { asset_id: string }[] = await transaction.query(
    `WITH back AS (
       SELECT b.* FROM jsonb_to_recordset($4::jsonb) AS b (asset_id uuid, state text, again timestamptz, closed jsonb)),
     was AS (
       SELECT t.asset_id, t.closed FROM run_target t JOIN back ON back.asset_id = t.asset_id WHERE t.run_id = $1),
     put AS (
       UPDATE run_target t SET lane = NULL, lane_epoch = NULL, state = back.state, closed = back.closed, due_at = back.again,
         started_at = CASE back.state WHEN 'pending' THEN NULL ELSE t.started_at END
       FROM back WHERE t.run_id = $1 AND t.asset_id = back.asset_id AND t.lane = $2 AND t.lane_epoch = $3
       RETURNING t.asset_id, t.closed)
     SELECT put.asset_id FROM put JOIN was USING (asset_id) WHERE was.closed IS DISTINCT FROM put.closed`,
    [claim.runId, claim.lane, claim.laneEpoch, JSON.stringify(rows)],
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
 * Writes whether anything of a run can go on: while all that a wave has left waits for a calendar, its deadline stands still. Called
 * where a claim came back empty and nothing is in flight, and where something was claimed.
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
         AND step_index BETWEEN $3 AND $4 AND (closed IS NULL OR due_at <= clock_timestamp())) AS others`,
    [run.id, request.wave, request.firstStep, request.lastStep],
  );
  const [row] = rows;
  if (row?.closed === null || row?.closed === undefined || row.others) return;
  await closeRun(transaction, run, row.closed);
}

async function closeRun(transaction: Transaction, run: LockedRun, closed: StoredClosure): Promise<void> {
  await transaction.query(`UPDATE run SET closed_since = clock_timestamp() WHERE id = $1`, [run.id]);
  await appendEntries(transaction, run, [{ kind: 'run-closed', data: { ...closed } }]);
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
  await appendEntries(transaction, run, [{ kind: 'run-reopened', data: { waitedMs: Math.round(row?.ms ?? 0) } }]);
}

/** Until when the whole run waits; null: it does not. */
export async function readOpening(
  transaction: Transaction,
  runId: string,
): Promise<{ readonly opensAt: Date | null; readonly isOver: boolean }> {
  const rows: { opensAt: Date | null; isOver: boolean }[] = await transaction.query(
    `SELECT opens_at AS "opensAt", state <> 'running' OR cancel_requested_at IS NOT NULL AS "isOver" FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0] ?? { opensAt: null, isOver: true };
}

/** The whole run waits (on) for a calendar, or goes on (`closed` null). */
export async function holdRun(transaction: Transaction, runId: string, closed: StoredClosure | null): Promise<void> {
  const run = await lockRun(transaction, runId);
  if (closed === null) {
    if (run.isClosed) await reopen(transaction, run);
    else await transaction.query(`UPDATE run SET opens_at = NULL WHERE id = $1`, [runId]);
  } else {
    await transaction.query(`UPDATE run SET opens_at = $2 WHERE id = $1`, [runId, closed.nextOpenAt ?? 'infinity']);
    if (!run.isClosed) await closeRun(transaction, run, closed);
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
           extract(epoch FROM least(r.opens_at, (SELECT min(due_at) FROM run_target t
             WHERE t.run_id = r.id AND t.state IN ('pending', 'running'))) - clock_timestamp()) * 1000)) END)::float8 AS ms
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
  const due: { id: string }[] = await transaction.query(
    `WITH due AS (
       UPDATE run_target t SET due_at = clock_timestamp() FROM run r
       WHERE r.space = $1 AND r.ended_at IS NULL AND t.run_id = r.id AND t.closed IS NOT NULL AND t.lane IS NULL
         AND t.state IN ('pending', 'running') AND t.due_at > clock_timestamp()
       RETURNING t.run_id)
     SELECT DISTINCT run_id AS id FROM due`,
    [space],
  );
  const whole: { id: string }[] = await transaction.query(
    `SELECT id FROM run WHERE space = $1 AND ended_at IS NULL AND opens_at IS NOT NULL ORDER BY id`,
    [space],
  );
  return { withTargets: due.map((row) => row.id), whole: whole.map((row) => row.id) };
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
