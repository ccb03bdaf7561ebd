import type { Transaction } from '../data-source.js';
import { keepsEnded } from './kept-locks.js';
import { appendEntries, moveCount, type LockedRun } from './run-entries.js';
import type { ClaimedTarget, LaneClaim } from './run-lanes.js';

/** How a run goes about assets that others change. */
export interface AssetLockPolicy {
  /** `exclusive`: nobody else changes the asset meanwhile; `shared`: only others that share. */
  readonly mode: 'exclusive' | 'shared';
  /** The run that called this one, and so on up: a family has one lock. Itself where nobody called it. */
  readonly rootRunId: string;
}

export interface AssetLockRequest extends LaneClaim, AssetLockPolicy {
  readonly wave: number;
  /**
   * `asset`: each is taken by itself, for targets that go to their end alone. `wave` and `run`: with the first one all open
   * targets of the wave (the run) are taken at once, because targets that hold an asset wait for others of the run, and two runs
   * would wait for each other for ever.
   */
  readonly reach: 'asset' | 'wave' | 'run';
  readonly targets: readonly ClaimedTarget[];
}

const open = `('pending', 'running')`;

/**
 * Holders of a lock that still need it, and that are not of the family $2. A target is seen to have ended or it counts: one that this
 * statement does not see yet is younger than its snapshot.
 */
const strangers = `
  FROM unnest(l.holders, l.roots) AS h (run_id, root)
  WHERE h.root <> $2 AND NOT EXISTS (SELECT 1 FROM run_target t WHERE t.run_id = h.run_id AND t.asset_id = l.asset_id
      AND t.state NOT IN ${open} AND NOT ${keepsEnded('t', 'h.root')})
    AND (l.taken_at > clock_timestamp() - interval '1 hour' OR EXISTS (SELECT 1 FROM run WHERE id = h.run_id))`;

/** This statement's snapshot has the lock as it is now. */
const isSeen = `l.taken_at = (SELECT seen.taken_at FROM asset_lock seen WHERE seen.asset_id = l.asset_id)`;

/** The family holds it: whoever waits for it waits for this run, too. */
const familyHolds = `
  SELECT 1 FROM asset_lock l CROSS JOIN unnest(l.holders, l.roots) AS h (run_id, root)
    JOIN run_target t ON t.run_id = h.run_id AND t.asset_id = l.asset_id AND (t.state IN ${open} OR ${keepsEnded('t', 'h.root')})
  WHERE l.asset_id = wanted.asset_id AND h.root = $2`;

/** Others that have waited for longer than this run, each with a target that is open. */
const earlierWaits = `
  SELECT 1 FROM asset_lock_wait w JOIN run_target t ON t.run_id = w.run_id AND t.asset_id = w.asset_id AND t.state IN ${open}
  WHERE w.asset_id = wanted.asset_id AND w.root <> $2
    AND w.ticket < coalesce((SELECT o.ticket FROM asset_lock_wait o WHERE o.asset_id = w.asset_id AND o.run_id = $1), 9223372036854775807)`;

/** It has not begun, and may wait for days: meanwhile it holds no asset, and has no place in a line. */
const waitsForCalendar = (target: string): string =>
  `(${target}.state = 'pending' AND ${target}.closed IS NOT NULL AND ${target}.due_at > statement_timestamp())`;

/**
 * Others that hold something of what this run wants whole: it leaves them what they wait for a calendar with, or each would hold what
 * the other one waits for.
 */
const rivals = `
  rivals AS (
    SELECT DISTINCT h.run_id FROM asset_lock l CROSS JOIN unnest(l.holders, l.roots) AS h (run_id, root)
      JOIN run_target t ON t.run_id = h.run_id AND t.asset_id = l.asset_id AND t.state IN ${open}
    WHERE $5 <> 'asset' AND l.asset_id IN (SELECT asset_id FROM wanted) AND h.root <> $2)`;

/** Takes locks in the order of the assets, so that two statements that do the same never wait for each other. */
const takeLocks = `
  WITH wanted AS (
    SELECT unnest($4::uuid[]) AS asset_id
    UNION SELECT asset_id FROM run_target
      WHERE $5 <> 'asset' AND run_id = $1 AND state IN ${open} AND ($5 = 'run' OR wave = $6) AND NOT ${waitsForCalendar('run_target')}),
  ${rivals},
  own AS (SELECT asset_id FROM asset_lock WHERE holders @> ARRAY[$1::uuid] AND asset_id IN (SELECT asset_id FROM wanted)),
  free AS (
    SELECT wanted.asset_id FROM wanted WHERE wanted.asset_id NOT IN (SELECT asset_id FROM own) AND (NOT EXISTS (${earlierWaits}) OR EXISTS (${familyHolds}))
      AND NOT EXISTS (SELECT 1 FROM rivals JOIN run_target t ON t.run_id = rivals.run_id AND t.asset_id = wanted.asset_id
        WHERE ${waitsForCalendar('t')})),
  taken AS (
    INSERT INTO asset_lock AS l (asset_id, mode, holders, roots, taken_at)
    SELECT asset_id, $3, ARRAY[$1::uuid], ARRAY[$2::uuid], clock_timestamp() FROM free ORDER BY asset_id
    ON CONFLICT (asset_id) DO UPDATE SET (mode, holders, roots) = (
        SELECT CASE WHEN count(*) > 0 THEN CASE WHEN excluded.mode = 'shared' THEN l.mode ELSE 'exclusive' END ELSE excluded.mode END,
          coalesce(array_agg(h.run_id), '{}') || $1::uuid, coalesce(array_agg(h.root), '{}') || $2::uuid
        FROM unnest(l.holders, l.roots) AS h (run_id, root)
        WHERE h.run_id <> $1 AND NOT (${isSeen} AND EXISTS (SELECT 1 FROM run_target t
          WHERE t.run_id = h.run_id AND t.asset_id = l.asset_id AND t.state NOT IN ${open} AND NOT ${keepsEnded('t', 'h.root')}))),
      taken_at = clock_timestamp()
    -- What was taken since this statement's snapshot, it cannot judge: it looks again later. Those that share judge nobody.
    WHERE (l.mode = 'shared' AND excluded.mode = 'shared') OR (${isSeen} AND NOT EXISTS (SELECT 1 ${strangers}))
    RETURNING asset_id),
  held AS (SELECT asset_id FROM own UNION ALL SELECT asset_id FROM taken),
  come AS (DELETE FROM asset_lock_wait w USING taken WHERE w.run_id = $1 AND w.asset_id = taken.asset_id),
  waiting AS (
    INSERT INTO asset_lock_wait (asset_id, run_id, root, since)
    SELECT asset_id, $1, $2, clock_timestamp() FROM wanted WHERE asset_id NOT IN (SELECT asset_id FROM held) ORDER BY asset_id
    ON CONFLICT (asset_id, run_id) DO NOTHING RETURNING asset_id)
  SELECT held.asset_id, false AS is_new FROM held WHERE held.asset_id = ANY ($4)
  UNION ALL SELECT asset_id, true FROM waiting`;

/**
 * Locks the assets of targets that are about to be changed, in the transaction that journals their *started*. A lock lasts until the
 * run's target has ended, or, where its steps may yet be undone, until that is over (see `keepsEnded`), and nobody has to give it back.
 * @returns assets that the run may change now
 */
export async function lockAssets(
  transaction: Transaction,
  run: LockedRun,
  request: AssetLockRequest,
): Promise<ReadonlySet<string>> {
  const { runId, rootRunId, mode, reach, wave, targets } = request;
  const ids = targets.map((target) => target.assetId);
  if (reach !== 'asset') {
    const held = await readHeld(transaction, runId, ids);
    if (held.size === ids.length) return held;
    // One at a time reserves several assets: see `reach`.
    await transaction.query(`SELECT pg_advisory_xact_lock(7072)`);
  }
  const rows: { asset_id: string; is_new: boolean }[] = await transaction.query(takeLocks, [
    runId,
    rootRunId,
    mode,
    ids,
    reach,
    wave,
  ]);
  const waiting = rows.filter((row) => row.is_new).map((row) => row.asset_id);
  if (waiting.length > 0) await tellWaiting(transaction, run, waiting);
  return new Set(rows.filter((row) => !row.is_new).map((row) => row.asset_id));
}

async function readHeld(transaction: Transaction, runId: string, ids: readonly string[]): Promise<Set<string>> {
  const rows: { asset_id: string }[] = await transaction.query(
    `SELECT asset_id FROM asset_lock WHERE asset_id = ANY ($2) AND holders @> ARRAY[$1::uuid]`,
    [runId, ids],
  );
  return new Set(rows.map((row) => row.asset_id));
}

/** Entries of one statement; a run that waits for more says how many. */
const MAX_TOLD = 100;

async function tellWaiting(transaction: Transaction, run: LockedRun, assetIds: readonly string[]): Promise<void> {
  const rows = await listAssetWaits(transaction, run.id, assetIds.slice(0, MAX_TOLD));
  await appendEntries(
    transaction,
    run,
    rows.map(({ assetId, heldBy }) => ({
      kind: 'target-waits',
      assetId,
      data: { heldBy, ...(assetIds.length > MAX_TOLD ? { of: assetIds.length } : {}) },
    })),
  );
}

/** A target that waits looks again after this at least, and a quarter of its wait later at most so long. */
const MIN_AGAIN_MS = 1000;
const MAX_AGAIN_MS = 10_000;

/** Takes back the claims of targets that wait for their asset: they are as they were before, and due a little later. */
export async function postponeTargets(
  transaction: Transaction,
  run: LockedRun,
  targets: readonly ClaimedTarget[],
): Promise<void> {
  const rows = targets.map(({ assetId, state, lane, laneEpoch }) => ({
    ...{ asset_id: assetId, state, lane, lane_epoch: laneEpoch },
  }));
  await transaction.query(
    `WITH back AS (
       SELECT b.asset_id, b.state, b.lane, b.lane_epoch, least(${MAX_AGAIN_MS}, greatest(${MIN_AGAIN_MS},
         extract(epoch FROM clock_timestamp() - w.since) * 1000 / 4))::float8 AS again_ms
       FROM jsonb_to_recordset($2::jsonb) AS b (asset_id uuid, state text, lane integer, lane_epoch integer)
       LEFT JOIN asset_lock_wait w ON w.run_id = $1 AND w.asset_id = b.asset_id)
     UPDATE run_target t SET lane = NULL, lane_epoch = NULL, state = back.state,
       started_at = CASE back.state WHEN 'pending' THEN NULL ELSE t.started_at END,
       due_at = clock_timestamp() + back.again_ms * interval '1 millisecond'
     FROM back WHERE t.run_id = $1 AND t.asset_id = back.asset_id AND t.lane = back.lane AND t.lane_epoch = back.lane_epoch`,
    [run.id, JSON.stringify(rows)],
  );
  for (const { state } of targets) if (state === 'pending') moveCount(run.counts, 'running', 'pending');
}

/** The run waits for no asset any more (of these; null: of all), whatever its targets' states say. */
export async function stopWaiting(
  transaction: Transaction,
  runId: string,
  assetIds: readonly string[] | null = null,
): Promise<void> {
  await transaction.query(
    `DELETE FROM asset_lock_wait WHERE run_id = $1 AND ($2::uuid[] IS NULL OR asset_id = ANY ($2))`,
    [runId, assetIds],
  );
}

export interface AssetWaitRow {
  readonly assetId: string;
  readonly asset: string;
  readonly since: Date;
  /** Null: it has just become free, or another run is before this one. */
  readonly heldBy: { readonly runId: string; readonly runbook: string; readonly since: string } | null;
}

/** Targets of a run that wait for their asset, with one of the runs that they wait for: a holder, else one that was there before. */
export async function listAssetWaits(
  transaction: Transaction,
  runId: string,
  assetIds: readonly string[],
): Promise<AssetWaitRow[]> {
  return transaction.query(
    `SELECT o.asset_id AS "assetId", own.asset_name AS asset, o.since, coalesce(
       (SELECT jsonb_build_object('runId', r.id, 'runbook', r.runbook, 'since', to_char(l.taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        FROM asset_lock l CROSS JOIN unnest(l.holders, l.roots) AS h (run_id, root)
          JOIN run_target t ON t.run_id = h.run_id AND t.asset_id = l.asset_id AND (t.state IN ${open} OR ${keepsEnded('t', 'h.root')})
          JOIN run r ON r.id = h.run_id
        WHERE l.asset_id = o.asset_id AND h.root <> o.root LIMIT 1),
       (SELECT jsonb_build_object('runId', r.id, 'runbook', r.runbook, 'since', to_char(w.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        FROM asset_lock_wait w JOIN run_target t ON t.run_id = w.run_id AND t.asset_id = w.asset_id AND t.state IN ${open}
          JOIN run r ON r.id = w.run_id
        WHERE w.asset_id = o.asset_id AND w.root <> o.root AND w.ticket < o.ticket ORDER BY w.ticket LIMIT 1)) AS "heldBy"
     FROM asset_lock_wait o JOIN run_target own ON own.run_id = o.run_id AND own.asset_id = o.asset_id
     WHERE o.run_id = $1 AND o.asset_id = ANY ($2) ORDER BY own.asset_name, o.asset_id`,
    [runId, assetIds],
  );
}

/** The run that called it, and so on up; itself where nobody did. */
export async function readRootRun(transaction: Transaction, runId: string): Promise<string> {
  const rows: { id: string }[] = await transaction.query(
    `WITH RECURSIVE line (id, depth) AS (
       SELECT $1::uuid, 0
       UNION ALL SELECT r.parent_run_id, line.depth + 1 FROM run r JOIN line ON line.id = r.id
         WHERE r.parent_run_id IS NOT NULL AND line.depth < 50)
     SELECT id FROM line ORDER BY depth DESC LIMIT 1`,
    [runId],
  );
  return rows[0]!.id;
}
