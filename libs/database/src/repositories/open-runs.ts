import type { Transaction } from '../data-source.js';

export interface OpenRun {
  readonly runId: string;
  readonly space: string;
  readonly workflowId: string;
  readonly cancelRequested: boolean;
  /** Milliseconds since its deadline passed; negative before it. */
  readonly overdueMs: number;
}

export interface OpenRunPage {
  /** The start was sent to Temporal at least so long ago (or so long that its command is no longer kept). */
  readonly sentBeforeMs: number;
  /** Id of the last run seen; null: from the oldest. */
  readonly after: string | null;
  readonly limit: number;
}

/** Runs that have not ended although Temporal should know of them, the oldest first. */
export async function listOpenRuns(transaction: Transaction, page: OpenRunPage): Promise<OpenRun[]> {
  return transaction.query(
    `SELECT r.id AS "runId", r.space, r.workflow_id AS "workflowId", r.cancel_requested_at IS NOT NULL AS "cancelRequested",
       (extract(epoch FROM clock_timestamp() - r.deadline_at) * 1000)::float8 AS "overdueMs"
     FROM run r
     WHERE r.ended_at IS NULL AND ($2::uuid IS NULL OR r.id > $2) AND NOT EXISTS (
       SELECT 1 FROM outbox o WHERE o.subject = r.workflow_id AND o.kind = 'start-run'
         AND (o.sent_at IS NULL OR o.sent_at >= clock_timestamp() - $1 * interval '1 millisecond'))
     ORDER BY r.id LIMIT $3`,
    [page.sentBeforeMs, page.after, page.limit],
  );
}

/** Whether the run of a workflow ended at least so long ago; a workflow that is just finishing is left alone. */
export async function hasEndedBefore(transaction: Transaction, workflowId: string, agoMs: number): Promise<boolean> {
  const rows: unknown[] = await transaction.query(
    `SELECT 1 FROM run WHERE workflow_id = $1 AND ended_at < clock_timestamp() - $2 * interval '1 millisecond'`,
    [workflowId, agoMs],
  );
  return rows.length > 0;
}

/** Partitions of this month and the two that follow; rows that come before theirs is made go to the default partition. */
export async function ensurePartitions(transaction: Transaction): Promise<void> {
  for (const [table, byKey] of [
    ['entry', true],
    ['run_log', true],
    ['audit_record', true],
    ['fire', false],
  ] as const) {
    await transaction.query(
      `SELECT ensure_month_partition($1, (date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date, $2)
       FROM generate_series(0, 2) AS n`,
      [table, byKey],
    );
  }
}
