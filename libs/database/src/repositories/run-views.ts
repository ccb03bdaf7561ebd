import type { RunState, StepState, TargetCounts, TargetState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError, StoredResolution } from '../entities/runs.js';
import type { StoredClosure } from './calendars.js';
import { NIL_ASSET_ID } from './control-steps.js';
import type { TargetCondition } from './run-start.js';

export interface RunRow {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly version: string;
  readonly state: RunState;
  readonly counts: TargetCounts;
  readonly targetCount: number;
  readonly undeterminedCount: number;
  readonly requestedBy: string;
  readonly reason: string | null;
  readonly schedule: string | null;
  readonly fireAt: Date | null;
  readonly error: StoredError | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly inputs: Record<string, unknown>;
  readonly selector: string | null;
  readonly targetSetDigest: string;
  readonly waveCount: number;
  /** Paths; null: there was no rollback. */
  readonly rollback: { readonly undone: string[]; readonly failed: string[] } | null;
  readonly wave: number | null;
  /** Null: no run called it. */
  readonly parentRunId: string | null;
  readonly parentPath: string | null;
  readonly outputs: Record<string, unknown> | null;
  readonly summary: string | null;
  readonly engineVersion: string | null;
  /** Null: it continues none. */
  readonly continues: string | null;
  readonly continuedHow: 'resume' | 'retry' | null;
}

const runColumns = `r.id, r.space, r.runbook, r.version, r.state, r.counts, r.target_count AS "targetCount",
  r.undetermined_count AS "undeterminedCount", p.name AS "requestedBy", r.reason, s.name AS schedule, r.fire_at AS "fireAt", r.error,
  r.created_at AS "createdAt", r.started_at AS "startedAt", r.ended_at AS "endedAt", r.inputs, r.selector,
  r.target_set_digest AS "targetSetDigest", r.wave_count AS "waveCount", r.wave, r.rollback, r.parent_run_id AS "parentRunId",
  r.parent_path AS "parentPath", r.outputs, r.summary, r.continues, r.continued_how AS "continuedHow",
  r.engine_version AS "engineVersion"`;
const runSource = `run r JOIN principal p ON p.id = r.requested_by LEFT JOIN schedule s ON s.id = r.schedule_id`;

export async function findRunRow(transaction: Transaction, runId: string): Promise<RunRow | null> {
  const rows: RunRow[] = await transaction.query(`SELECT ${runColumns} FROM ${runSource} WHERE r.id = $1`, [runId]);
  return rows[0] ?? null;
}

/** First number of a parameter in the condition that `listRunRows` takes. */
export const RUN_CONDITION_FIRST_PARAMETER = 6;

/**
 * Newest first, before the run given. With a condition (on alias `a`) only runs that have targets and all of whose targets fulfil
 * it: the same rule by which one run is shown.
 */
export async function listRunRows(
  transaction: Transaction,
  query: {
    readonly space: string;
    readonly before: string | null;
    readonly limit: number;
    readonly state: RunState | null;
    readonly runbook: string | null;
    /** Those that steps of other runs called, too. */
    readonly subRuns: boolean;
    readonly targetsWithin: TargetCondition | null;
  },
): Promise<RunRow[]> {
  const within =
    query.targetsWithin === null
      ? 'true'
      : `r.target_count > 0 AND NOT EXISTS (
           SELECT 1 FROM run_target t JOIN asset a ON a.id = t.asset_id
           WHERE t.run_id = r.id AND a.space = r.space AND (${query.targetsWithin.sql}) IS NOT TRUE)`;
  return transaction.query(
    `SELECT ${runColumns} FROM ${runSource}
     WHERE r.space = $1 AND ($2::uuid IS NULL OR r.id < $2) AND ($3::text IS NULL OR r.state = $3)
       AND ($4::text IS NULL OR r.runbook = $4) AND ${query.subRuns ? 'true' : 'r.parent_run_id IS NULL'} AND ${within}
     ORDER BY r.id DESC LIMIT $5`,
    [
      query.space,
      query.before,
      query.state,
      query.runbook,
      query.limit,
      ...(query.targetsWithin === null ? [] : query.targetsWithin.parameters),
    ],
  );
}

/** A run below another one. */
export interface SubRunRow {
  readonly id: string;
  /** From 1. */
  readonly depth: number;
  readonly step: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly counts: TargetCounts;
}

/** Runs that were called below a run, each before those that it called itself, in the order of their start. */
export async function listSubRunRows(transaction: Transaction, runId: string, limit: number): Promise<SubRunRow[]> {
  return transaction.query(
    `WITH RECURSIVE below AS (
       SELECT r.id, 1 AS depth, r.parent_path, r.runbook, r.state, r.counts, ARRAY[r.id] AS way FROM run r WHERE r.parent_run_id = $1
       UNION ALL
       SELECT r.id, b.depth + 1, r.parent_path, r.runbook, r.state, r.counts, b.way || r.id
       FROM below b JOIN run r ON r.parent_run_id = b.id)
     SELECT id, depth, parent_path AS step, runbook, state, counts FROM below ORDER BY way LIMIT $2`,
    [runId, limit],
  );
}

export interface StepRow {
  readonly step: string;
  readonly attempt: number;
  readonly state: StepState;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  /** The run that made it; null: this one. */
  readonly carriedFrom: string | null;
  readonly resolution: StoredResolution | null;
}

export interface TargetRow {
  readonly assetId: string;
  readonly asset: string;
  /** Null: the run has one wave only. */
  readonly wave: number | null;
  readonly state: TargetState;
  readonly error: StoredError | null;
  /** What became of undoing its steps; null: nothing was to be undone. */
  readonly rollback: 'undone' | 'incomplete' | null;
  /** Paths of the steps of `finally` that it did not come to; null: none is left. */
  readonly finallyLeft: string[] | null;
  /** The calendar that it waits for; null: it waits for none. */
  readonly closed: StoredClosure | null;
}

/** Targets by name, after the pair given; with a name only that one. */
export async function listTargetRows(
  transaction: Transaction,
  runId: string,
  after: { readonly name: string; readonly id: string } | null,
  limit: number,
  asset: string | null = null,
): Promise<TargetRow[]> {
  return transaction.query(
    `SELECT t.asset_id AS "assetId", t.asset_name AS asset, CASE WHEN r.wave_count > 1 THEN t.wave END AS wave, t.state, t.error, t.rollback, t.finally_left AS "finallyLeft",
       CASE WHEN t.state IN ('pending', 'running') THEN t.closed END AS closed
     FROM run_target t JOIN run r ON r.id = t.run_id
     WHERE t.run_id = $1 AND ($2::text IS NULL OR (t.asset_name, t.asset_id) > ($2, $3::uuid))
       AND ${asset === null ? 'true' : 't.asset_name = $5'}
     ORDER BY t.asset_name, t.asset_id LIMIT $4`,
    [runId, after?.name ?? null, after?.id ?? null, limit, ...(asset === null ? [] : [asset])],
  );
}

/** Attempts of the assets given, in the order in which they started. */
export async function listStepRows(
  transaction: Transaction,
  runId: string,
  assetIds: readonly string[],
): Promise<ReadonlyMap<string, readonly StepRow[]>> {
  const rows: (StepRow & { assetId: string })[] = await transaction.query(
    `SELECT asset_id AS "assetId", CASE phase WHEN 'undo' THEN step || '#undo' ELSE step END AS step, generation AS attempt, state, exit_code AS "exitCode", error, started_at AS "startedAt",
       ended_at AS "endedAt", carried_from AS "carriedFrom", resolution
     FROM run_step WHERE run_id = $1 AND asset_id = ANY ($2) ORDER BY asset_id, started_at, run_step.step, generation`,
    [runId, assetIds],
  );
  const steps = new Map<string, StepRow[]>();
  for (const { assetId, ...row } of rows) {
    const list = steps.get(assetId) ?? [];
    list.push(row);
    steps.set(assetId, list);
  }
  return steps;
}

export async function listControlStepRows(transaction: Transaction, runId: string): Promise<readonly StepRow[]> {
  return (await listStepRows(transaction, runId, [NIL_ASSET_ID])).get(NIL_ASSET_ID) ?? [];
}

export interface LogRow {
  readonly seq: number;
  readonly at: Date;
  readonly asset: string;
  readonly step: string;
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr' | 'note';
  readonly line: number;
  readonly body: string;
}

const logColumns = `l.seq, l.at, coalesce(t.asset_name, '') AS asset, l.step, l.generation AS attempt, l.stream, l.line, l.body`;
const logSource = `run_log l LEFT JOIN run_target t ON t.run_id = l.run_id AND t.asset_id = l.asset_id`;

export async function listLogRows(
  transaction: Transaction,
  runId: string,
  query: {
    readonly after: number;
    readonly limit: number;
    readonly asset: string | null;
    readonly step: string | null;
  },
): Promise<LogRow[]> {
  return transaction.query(
    `SELECT ${logColumns} FROM ${logSource}
     WHERE l.run_id = $1 AND l.seq > $2 AND ($4::text IS NULL OR t.asset_name = $4) AND ($5::text IS NULL OR l.step = $5)
     ORDER BY l.seq LIMIT $3`,
    [runId, query.after, query.limit, query.asset, query.step],
  );
}

export interface EntryRow {
  readonly seq: number;
  readonly at: Date;
  readonly kind: string;
  readonly asset: string | null;
  readonly step: string | null;
  readonly data: Record<string, unknown>;
}

export async function listEntryRows(
  transaction: Transaction,
  runId: string,
  after: number,
  limit: number,
): Promise<EntryRow[]> {
  return transaction.query(
    `SELECT e.seq, e.at, e.kind, t.asset_name AS asset, e.step, e.data
     FROM entry e LEFT JOIN run_target t ON t.run_id = e.run_id AND t.asset_id = e.asset_id
     WHERE e.run_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3`,
    [runId, after, limit],
  );
}

/** The run's last number and whether it has ended: a reader that has this number of an ended run has everything. */
export async function readRunTail(
  transaction: Transaction,
  runId: string,
): Promise<{ seq: number; ended: boolean } | null> {
  const rows: { seq: number; ended: boolean }[] = await transaction.query(
    `SELECT seq, ended_at IS NOT NULL AS ended FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}
