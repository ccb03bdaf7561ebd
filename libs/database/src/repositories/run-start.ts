import { endedRunStates, type TargetCounts } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { NewEntry } from './run-entries.js';
import { appendEntries, emptyCounts, lockRun, saveLockedRun } from './run-entries.js';

/** A condition on table alias `a` (asset) with parameters numbered from 3. */
export interface TargetCondition {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** First number of a parameter in a `TargetCondition`. */
export const TARGET_CONDITION_FIRST_PARAMETER = 3;

export interface NewRun {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly versionId: string;
  readonly version: string;
  readonly workflowId: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly selector: string | null;
  readonly maxConcurrency: number;
  readonly idempotencyKey: string | null;
  readonly requestDigest: string | null;
  readonly requestedBy: string;
  readonly scheduleId: string | null;
  readonly fireAt: Date | null;
  readonly reason: string | null;
  /** From now until it is taken up, and then anew: see `claimRun`. */
  readonly timeoutMs: number;
  /** The run that calls this one, and the path of its step. */
  readonly parent?: { readonly runId: string; readonly path: string; readonly depth: number } | undefined;
  /** Runbook -> digest of the version that its calls use; null: it calls none. */
  readonly closure?: Readonly<Record<string, string>> | null | undefined;
  /** What its runbook says of rollback, and whether any of its steps on targets can be undone. */
  readonly rollback: { readonly policy: 'nothing' | 'unfinished' | 'all'; readonly hasUndo: boolean };
  /** The ended run that it takes up or makes again. */
  readonly continues?: NewContinuation | undefined;
}

export interface NewContinuation {
  readonly runId: string;
  readonly how: 'resume' | 'retry';
  /** Null: nothing is known of the steps of the run itself. */
  readonly memo: object | null;
}

/** The run row, queued and without targets. */
export async function insertRun(transaction: Transaction, run: NewRun): Promise<void> {
  await insertRuns(transaction, [run]);
}

/** The rows of runs, queued and without targets, in one statement. */
export async function insertRuns(transaction: Transaction, runs: readonly NewRun[]): Promise<void> {
  if (runs.length === 0) return;
  await transaction.query(
    `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, selector, target_set_digest, target_count,
       undetermined_count, max_concurrency, counts, idempotency_key, request_digest, requested_by, schedule_id, fire_at, reason,
       deadline_at, parent_run_id, parent_path, depth, closure, continues, continued_how, memo, has_undo, undoes)
     SELECT r.id, r.space, r.runbook, r."versionId", r.version, 'queued', r."workflowId", r.inputs, r.selector, '', 0,
       0, r."maxConcurrency", $2::jsonb, r."idempotencyKey", r."requestDigest", r."requestedBy", r."scheduleId", r."fireAt", r.reason,
       clock_timestamp() + r."timeoutMs" * interval '1 millisecond', r."parentRunId", r."parentPath", r.depth, r.closure,
       r."continuesRun", r."continuedHow", r.memo, r."hasUndo",
       -- A run above it may undo all of it.
       CASE WHEN r.undoes <> 'nothing' AND EXISTS (SELECT 1 FROM run p WHERE p.id = r."parentRunId" AND p.undoes <> 'nothing')
         THEN 'all' ELSE r.undoes END
     FROM jsonb_to_recordset($1::jsonb) AS r (id uuid, space text, runbook text, "versionId" uuid, version text, "workflowId" text,
       inputs jsonb, selector text, "maxConcurrency" integer, "idempotencyKey" text, "requestDigest" text, "requestedBy" uuid,
       "scheduleId" uuid, "fireAt" timestamptz, reason text, "timeoutMs" float8, "parentRunId" uuid, "parentPath" text,
       depth integer, closure jsonb, "continuesRun" uuid, "continuedHow" text, memo jsonb, "hasUndo" boolean, undoes text)`,
    [JSON.stringify(runs.map(runRow)), JSON.stringify(emptyCounts())],
  );
}

function runRow({ parent, continues, rollback, ...run }: NewRun) {
  return {
    ...run,
    parentRunId: parent?.runId,
    parentPath: parent?.path,
    depth: parent === undefined ? 0 : parent.depth + 1,
    continuesRun: continues?.runId,
    continuedHow: continues?.how,
    memo: continues?.memo,
    hasUndo: rollback.policy !== 'nothing' && rollback.hasUndo,
    undoes: rollback.policy,
  };
}

/** Resolves the target set once: retired assets are never targets. */
export async function insertTargets(
  transaction: Transaction,
  runId: string,
  space: string,
  condition: TargetCondition,
): Promise<{ count: number; digest: string }> {
  await transaction.query(
    `INSERT INTO run_target (run_id, asset_id, asset_name)
     SELECT $1, a.id, a.name FROM asset a WHERE a.space = $2 AND a.lifecycle <> 'retired' AND (${condition.sql})`,
    [runId, space, ...condition.parameters],
  );
  return readTargetSet(transaction, runId);
}

/** Number of targets, and SHA-256 over their sorted ids, one a line. */
export async function readTargetSet(
  transaction: Transaction,
  runId: string,
): Promise<{ count: number; digest: string }> {
  const rows: { count: number; digest: string }[] = await transaction.query(
    `SELECT count(*) AS count, 'sha256:' || encode(sha256(convert_to(
       coalesce(string_agg(asset_id::text, E'\\n' ORDER BY asset_id), ''), 'UTF8')), 'hex') AS digest
     FROM run_target WHERE run_id = $1`,
    [runId],
  );
  return rows[0]!;
}

/** Assets for which a three-valued condition is neither true nor false. */
export async function countUndetermined(
  transaction: Transaction,
  space: string,
  condition: TargetCondition,
): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    // $1 keeps the numbering of the parameters that insertTargets has.
    `SELECT count(*) AS count FROM asset a
     WHERE $1::text IS NULL AND a.space = $2 AND a.lifecycle <> 'retired' AND (${condition.sql}) IS NULL`,
    [null, space, ...condition.parameters],
  );
  return rows[0]!.count;
}

/** Targets outside of what the condition allows: their number, and the first names. */
export async function findTargetsOutside(
  transaction: Transaction,
  runId: string,
  space: string,
  condition: TargetCondition,
): Promise<{ count: number; names: readonly string[] }> {
  const rows: { count: number; names: string[] | null }[] = await transaction.query(
    `SELECT count(*) AS count, (array_agg(a.name ORDER BY a.name))[1:5] AS names
     FROM run_target t JOIN asset a ON a.id = t.asset_id
     WHERE t.run_id = $1 AND a.space = $2 AND (${condition.sql}) IS NOT TRUE`,
    [runId, space, ...condition.parameters],
  );
  return { count: rows[0]!.count, names: rows[0]!.names ?? [] };
}

export interface NewTargets {
  readonly count: number;
  readonly digest: string;
  readonly undetermined: number;
  /** Absent: all of them are pending. */
  readonly counts?: TargetCounts | undefined;
}

/** Sets what is known once the targets are, and writes the first entry. */
export async function completeNewRun(
  transaction: Transaction,
  runId: string,
  targets: NewTargets,
  entry: NewEntry,
): Promise<void> {
  const counts = targets.counts ?? emptyCounts(targets.count);
  await transaction.query(
    `UPDATE run SET target_count = $2, target_set_digest = $3, undetermined_count = $4, counts = $5 WHERE id = $1`,
    [runId, targets.count, targets.digest, targets.undetermined, JSON.stringify(counts)],
  );
  const run = await lockRun(transaction, runId);
  await appendEntries(transaction, run, [entry]);
  await saveLockedRun(transaction, run);
}

/** Waits for any other start with the same key, then tells what it made. */
export async function findRunByKey(
  transaction: Transaction,
  space: string,
  requestedBy: string,
  idempotencyKey: string,
): Promise<{ id: string; requestDigest: string | null } | null> {
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 7070))`, [
    `${space}\n${requestedBy}\n${idempotencyKey}`,
  ]);
  const rows: { id: string; requestDigest: string | null }[] = await transaction.query(
    `SELECT id, request_digest AS "requestDigest" FROM run WHERE space = $1 AND requested_by = $2 AND idempotency_key = $3`,
    [space, requestedBy, idempotencyKey],
  );
  return rows[0] ?? null;
}

/** A runbook version that belongs to no document: what `exec` runs. The same content is stored once. */
export async function saveOneOffVersion(
  transaction: Transaction,
  version: {
    readonly id: string;
    readonly space: string;
    readonly digest: string;
    readonly name: string;
    readonly source: string;
    readonly parsed: unknown;
    readonly createdBy: string;
  },
): Promise<string> {
  await transaction.query(
    `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
     VALUES ($1, $2, NULL, 1, $3, 'Runbook', $4, $5, $6, $7)
     ON CONFLICT (space, digest) WHERE document_id IS NULL DO NOTHING`,
    [
      version.id,
      version.space,
      version.digest,
      version.name,
      version.source,
      JSON.stringify(version.parsed),
      version.createdBy,
    ],
  );
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM document_version WHERE space = $1 AND digest = $2 AND document_id IS NULL`,
    [version.space, version.digest],
  );
  return rows[0]!.id;
}

/** Marks that a person wants the run ended; false: it was marked before. */
export async function requestCancel(
  transaction: Transaction,
  runId: string,
  by: string,
  reason: string | null,
): Promise<{ state: string; workflowId: string; marked: boolean }> {
  const run = await lockRun(transaction, runId);
  const rows: { workflow_id: string }[] = await transaction.query(`SELECT workflow_id FROM run WHERE id = $1`, [runId]);
  const workflowId = rows[0]!.workflow_id;
  if (run.cancelRequested || endedRunStates.includes(run.state)) {
    return { state: run.state, workflowId, marked: false };
  }
  await transaction.query(
    `UPDATE run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = $2, cancel_reason = $3 WHERE id = $1`,
    [runId, by, reason],
  );
  await appendEntries(transaction, run, [{ kind: 'cancel-requested', data: { by, reason } }]);
  await saveLockedRun(transaction, run);
  return { state: run.state, workflowId, marked: true };
}
