import type { HistoryState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';

/** An ended run whose history is not archived yet. */
export interface UnarchivedRun {
  readonly runId: string;
  readonly space: string;
  readonly runbook: string;
  readonly workflowId: string;
  readonly engineVersion: string | null;
  readonly hasStarted: boolean;
  /** Exactly as the database has it. */
  readonly endedAt: string;
}

/** Those that ended first come first. `except`: ids that are left alone. */
export async function listUnarchivedRuns(
  transaction: Transaction,
  query: { readonly endedBeforeMs: number; readonly except: readonly string[]; readonly limit: number },
): Promise<UnarchivedRun[]> {
  return transaction.query(
    `SELECT id AS "runId", space, runbook, workflow_id AS "workflowId", engine_version AS "engineVersion",
       started_at IS NOT NULL AS "hasStarted", ended_at::text AS "endedAt"
     FROM run WHERE ended_at IS NOT NULL AND history_ended_at IS DISTINCT FROM ended_at
       AND ended_at <= clock_timestamp() - $1 * interval '1 millisecond' AND id <> ALL ($2::uuid[])
     ORDER BY ended_at LIMIT $3`,
    [query.endedBeforeMs, [...query.except], query.limit],
  );
}

/** False: the run has been taken up again, has ended another time, or somebody else archived it. Locks the run. */
export async function markArchived(transaction: Transaction, run: UnarchivedRun): Promise<boolean> {
  const rows: unknown[] = await updateRows(
    transaction,
    `UPDATE run SET history_ended_at = ended_at
     WHERE id = $1 AND workflow_id = $2 AND ended_at = $3::timestamptz AND history_ended_at IS DISTINCT FROM ended_at RETURNING id`,
    [run.runId, run.workflowId, run.endedAt],
  );
  return rows.length > 0;
}

export interface StoredHistory {
  readonly workflowRunId: string | null;
  readonly state: HistoryState;
  readonly reason: string | null;
  readonly events: number | null;
  readonly bytes: number | null;
  readonly sha256: string | null;
  /** Compressed JSON; null where it is not kept. */
  readonly data: Uint8Array | null;
}

/** What was archived of the same workflow before is replaced; what belongs to another one of the run stays. */
export async function replaceHistories(
  transaction: Transaction,
  run: { readonly runId: string; readonly workflowId: string },
  auditId: string,
  histories: readonly StoredHistory[],
): Promise<void> {
  await transaction.query(`DELETE FROM run_history WHERE run_id = $1 AND workflow_id = $2`, [
    run.runId,
    run.workflowId,
  ]);
  for (const { workflowRunId, state, reason, events, bytes, sha256, data } of histories) {
    await transaction.query(
      `INSERT INTO run_history (run_id, number, workflow_id, workflow_run_id, state, reason, events, bytes, sha256, data, audit_id)
       SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM run_history WHERE run_id = $1`,
      [
        run.runId,
        run.workflowId,
        workflowRunId,
        state,
        reason,
        events,
        bytes,
        sha256,
        data === null ? null : Buffer.from(data),
        auditId,
      ],
    );
  }
}

export interface HistoryRow extends Omit<StoredHistory, 'data'> {
  readonly number: number;
  readonly workflowId: string;
  readonly auditId: string;
  readonly archivedAt: Date;
}

const historyColumns = `number, workflow_id AS "workflowId", workflow_run_id AS "workflowRunId", state, reason, events,
  bytes::float8 AS bytes, sha256, audit_id AS "auditId", archived_at AS "archivedAt"`;

export async function listHistories(transaction: Transaction, runId: string): Promise<HistoryRow[]> {
  return transaction.query(`SELECT ${historyColumns} FROM run_history WHERE run_id = $1 ORDER BY number`, [runId]);
}

export async function findHistory(
  transaction: Transaction,
  runId: string,
  number: number,
): Promise<(HistoryRow & { readonly data: Buffer | null }) | null> {
  const rows: (HistoryRow & { data: Buffer | null })[] = await transaction.query(
    `SELECT ${historyColumns}, data FROM run_history WHERE run_id = $1 AND number = $2`,
    [runId, number],
  );
  return rows[0] ?? null;
}

/** The bytes of audit records by id. */
export async function readAuditRecords(
  transaction: Transaction,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Buffer>> {
  const rows: { id: string; canonical: Buffer }[] = await transaction.query(
    `SELECT id, canonical FROM audit_record WHERE id = ANY ($1)`,
    [[...ids]],
  );
  return new Map(rows.map(({ id, canonical }) => [id, canonical]));
}

export interface HistoryStanding {
  readonly engineVersion: string | null;
  readonly hasEnded: boolean;
  readonly isArchived: boolean;
}

export async function readHistoryStanding(transaction: Transaction, runId: string): Promise<HistoryStanding> {
  const rows: HistoryStanding[] = await transaction.query(
    `SELECT engine_version AS "engineVersion", ended_at IS NOT NULL AS "hasEnded",
       ended_at IS NOT NULL AND history_ended_at IS NOT DISTINCT FROM ended_at AS "isArchived" FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0]!;
}
