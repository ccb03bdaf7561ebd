import type { Transaction } from '../data-source.js';

export interface OpenRun {
  readonly runId: string;
  readonly space: string;
  readonly workflowId: string;
  readonly cancelRequested: boolean;
  /** The start was sent long enough ago for Temporal to know the workflow. */
  readonly startSettled: boolean;
  /** Milliseconds since its deadline passed; negative before it. It stands still while the run waits for a calendar. */
  readonly overdueMs: number;
}

export interface OpenRunPage {
  /** The start was sent to Temporal at least so long ago (or so long that its command is no longer kept) ... */
  readonly sentBeforeMs: number;
  /** ... or the deadline passed at least so long ago, even if the start was never sent. */
  readonly overdueMs: number;
  /** Id of the last run seen; null: from the oldest. */
  readonly after: string | null;
  readonly limit: number;
}

/** Parameter $1: `sentBeforeMs`. */
const selectOpenRun = `SELECT r.id AS "runId", r.space, r.workflow_id AS "workflowId",
       r.cancel_requested_at IS NOT NULL AS "cancelRequested", sending.settled AS "startSettled",
       (extract(epoch FROM coalesce(r.closed_since, clock_timestamp()) - r.deadline_at) * 1000)::float8 AS "overdueMs"
     FROM run r CROSS JOIN LATERAL (SELECT NOT EXISTS (
       SELECT 1 FROM outbox o WHERE o.subject = r.workflow_id AND o.kind = 'start-run'
         AND (o.sent_at IS NULL OR o.sent_at >= clock_timestamp() - $1 * interval '1 millisecond')) AS settled) sending
     WHERE r.ended_at IS NULL`;

/** Runs that have not ended although Temporal should know of them or their time is over, the oldest first. */
export async function listOpenRuns(transaction: Transaction, page: OpenRunPage): Promise<OpenRun[]> {
  return transaction.query(
    `${selectOpenRun} AND ($2::uuid IS NULL OR r.id > $2)
       AND (sending.settled OR r.deadline_at <= coalesce(r.closed_since, clock_timestamp()) - $4 * interval '1 millisecond')
     ORDER BY r.id LIMIT $3`,
    [page.sentBeforeMs, page.after, page.limit, page.overdueMs],
  );
}

/** The run as it is now, locked until the transaction ends; null: it has ended. */
export async function lockOpenRun(
  transaction: Transaction,
  runId: string,
  sentBeforeMs: number,
): Promise<OpenRun | null> {
  // The lock first: a statement that waits for it in the middle would mix what was with what is.
  await transaction.query(`SELECT 1 FROM run WHERE id = $1 FOR UPDATE`, [runId]);
  const rows: OpenRun[] = await transaction.query(`${selectOpenRun} AND r.id = $2`, [sentBeforeMs, runId]);
  return rows[0] ?? null;
}

/** Those of the workflows whose run ended at least so long ago; one that is just finishing is left alone. */
export async function findEndedBefore(
  transaction: Transaction,
  workflowIds: readonly string[],
  agoMs: number,
): Promise<string[]> {
  const rows: { workflow_id: string }[] = await transaction.query(
    `SELECT workflow_id FROM run WHERE workflow_id = ANY ($1) AND ended_at < clock_timestamp() - $2 * interval '1 millisecond'`,
    [workflowIds, agoMs],
  );
  return rows.map((row) => row.workflow_id);
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
