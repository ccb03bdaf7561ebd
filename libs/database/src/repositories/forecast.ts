import type { Transaction } from '../data-source.js';
import { wentOnMs } from './calendars.js';
import type { TargetCondition } from './run-start.js';

export interface EndedDuration {
  readonly scheduleId: string | null;
  readonly runbook: string;
  readonly durationMs: number;
}

/**
 * How long runs went on that succeeded or failed: of each schedule and of each runbook the last `each`, among the last `among` runs of
 * the space. Runs that were called, or take up another, are parts of something and left out.
 */
export async function listEndedDurations(
  transaction: Transaction,
  query: { readonly space: string; readonly among: number; readonly each: number },
): Promise<EndedDuration[]> {
  return transaction.query(
    `SELECT "scheduleId", runbook, "durationMs" FROM (
       SELECT schedule_id AS "scheduleId", runbook, ${wentOnMs} AS "durationMs",
         row_number() OVER (PARTITION BY runbook ORDER BY id DESC) AS of_runbook,
         row_number() OVER (PARTITION BY schedule_id ORDER BY id DESC) AS of_schedule
       FROM (SELECT * FROM run WHERE space = $1 ORDER BY id DESC LIMIT $2) AS latest
       WHERE state IN ('succeeded', 'failed') AND started_at IS NOT NULL AND parent_run_id IS NULL AND continues IS NULL) AS ended
     WHERE of_runbook <= $3 OR (of_schedule <= $3 AND "scheduleId" IS NOT NULL)`,
    [query.space, query.among, query.each],
  );
}

export interface NamedAsset {
  readonly id: string;
  readonly name: string;
}

/** Assets in use that a condition (parameters from 3) selects, by name, at most `limit`; with `asset`, that one alone. */
export async function listSelectedAssets(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly asset: string | null;
    readonly condition: TargetCondition;
    readonly limit: number;
  },
): Promise<NamedAsset[]> {
  return transaction.query(
    `SELECT a.id, a.name FROM asset a
     WHERE ($1::text IS NULL OR a.name = $1) AND a.space = $2 AND a.lifecycle <> 'retired' AND (${query.condition.sql})
     ORDER BY a.name LIMIT ${Math.trunc(query.limit)}`,
    [query.asset, query.space, ...query.condition.parameters],
  );
}

export interface OpenRunRow {
  readonly runId: string;
  readonly runbook: string;
  readonly scheduleId: string | null;
  readonly startedAt: Date;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Of the version that it runs. */
  readonly parsed: unknown;
}

/** Runs of the space that are under way or about to, without those that others called; the oldest first. */
export async function listOpenRunsOfSpace(
  transaction: Transaction,
  space: string,
  limit: number,
): Promise<OpenRunRow[]> {
  return transaction.query(
    `SELECT r.id AS "runId", r.runbook, r.schedule_id AS "scheduleId", coalesce(r.started_at, r.created_at) AS "startedAt",
       r.inputs, v.parsed
     FROM run r JOIN document_version v ON v.id = r.version_id
     WHERE r.ended_at IS NULL AND r.space = $1 AND r.parent_run_id IS NULL ORDER BY r.id LIMIT $2`,
    [space, limit],
  );
}

/** Assets on which a run has not ended, at most `limit`, of those for which the condition (parameters from 3) holds. */
export async function listOpenTargets(
  transaction: Transaction,
  query: { readonly runId: string; readonly condition: TargetCondition; readonly limit: number },
): Promise<NamedAsset[]> {
  return transaction.query(
    `SELECT a.id, a.name FROM run_target t JOIN asset a ON a.id = t.asset_id
     WHERE $2::text IS NULL AND t.run_id = $1 AND t.state IN ('pending', 'running') AND (${query.condition.sql})
     ORDER BY a.name LIMIT ${Math.trunc(query.limit)}`,
    [query.runId, null, ...query.condition.parameters],
  );
}

/** Limits of keys of capacity that documents set. */
export async function listCapacityLimits(
  transaction: Transaction,
  space: string,
  keys: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows: { key: string; units: number }[] = await transaction.query(
    `SELECT key, units FROM capacity_limit WHERE space = $1 AND key = ANY ($2)`,
    [space, keys],
  );
  return new Map(rows.map(({ key, units }) => [key, units]));
}
