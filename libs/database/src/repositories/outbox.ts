import type { TemporalCommand } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';

export type StoredCommand = TemporalCommand & { readonly id: number; readonly attempts: number };

/** Commits with the change it belongs to and wakes the relay at commit. */
export async function enqueueCommand(transaction: Transaction, command: TemporalCommand): Promise<void> {
  await enqueueCommands(transaction, [command]);
}

/** As `enqueueCommand`, in one statement; they are sent in this order. */
export async function enqueueCommands(transaction: Transaction, commands: readonly TemporalCommand[]): Promise<void> {
  if (commands.length === 0) return;
  await transaction.query(
    `WITH command AS (
       INSERT INTO outbox (kind, subject, payload)
       SELECT c.kind, c.subject, c.payload
       FROM unnest($1::text[], $2::text[], $3::jsonb[]) WITH ORDINALITY AS c (kind, subject, payload, n) ORDER BY c.n RETURNING id)
     SELECT pg_notify('fettle_outbox', '') FROM (SELECT count(*) FROM command) AS written`,
    [
      commands.map(({ kind }) => kind),
      commands.map(({ subject }) => subject),
      commands.map(({ payload }) => JSON.stringify(payload)),
    ],
  );
}

/**
 * Has Temporal told what wakes schedules, unless the same is on its way: hundreds may be woken by one entry. `isWhole`: all that want
 * it say the same; single instants are told by each, because the later has the further ones.
 */
export async function enqueueWaking(
  transaction: Transaction,
  command: Extract<TemporalCommand, { kind: 'put-schedule' }>,
  isWhole: boolean,
): Promise<void> {
  const rows: { kind: string }[] = isWhole
    ? await transaction.query(
        `SELECT kind FROM outbox WHERE subject = $1 AND sent_at IS NULL ORDER BY id DESC LIMIT 1`,
        [command.subject],
      )
    : [];
  if (rows[0]?.kind !== command.kind) await enqueueCommand(transaction, command);
}

/** Tells an open run that what one of its steps waits for may have come; commits with what it tells of. */
export async function wakeRun(transaction: Transaction, runId: string, path: string): Promise<void> {
  await transaction.query(
    `WITH command AS (
       INSERT INTO outbox (kind, subject, payload)
       SELECT 'wake-run', workflow_id, jsonb_build_object('path', $2::text) FROM run WHERE id = $1 AND ended_at IS NULL
       RETURNING id)
     SELECT pg_notify('fettle_outbox', '') FROM command`,
    [runId, path],
  );
}

/**
 * The oldest unsent command of each subject that is due, at most `limit`, without those named: first what concerns runs that are under way
 * and schedules, so that a cancel does not wait behind a thousand starts.
 */
export async function readDueCommands(
  transaction: Transaction,
  limit: number,
  without: readonly number[] = [],
): Promise<StoredCommand[]> {
  return transaction.query(
    `SELECT o.id, o.kind, o.subject, o.payload, o.attempts FROM outbox o
     WHERE o.sent_at IS NULL AND o.next_at <= clock_timestamp() AND o.id <> ALL ($2::bigint[])
       AND NOT EXISTS (SELECT 1 FROM outbox earlier WHERE earlier.subject = o.subject AND earlier.sent_at IS NULL AND earlier.id < o.id)
     ORDER BY o.kind = 'start-run', o.id LIMIT $1`,
    [limit, without],
  );
}

export async function markCommandsSent(transaction: Transaction, ids: readonly number[]): Promise<void> {
  await transaction.query(`UPDATE outbox SET sent_at = clock_timestamp(), last_error = NULL WHERE id = ANY ($1)`, [
    ids,
  ]);
}

/** Tried again after a delay that doubles from half a second up to half a minute. */
export async function markCommandFailed(transaction: Transaction, id: number, message: string): Promise<void> {
  await transaction.query(
    `UPDATE outbox SET attempts = attempts + 1, last_error = left($2, 1000),
       next_at = clock_timestamp() + least(30000, 500 * 2 ^ least(attempts, 6)) * interval '1 millisecond'
     WHERE id = $1`,
    [id, message],
  );
}

/** Sent commands older than a week are no longer of use. */
export async function deleteSentCommands(transaction: Transaction): Promise<void> {
  await transaction.query(`DELETE FROM outbox WHERE sent_at < now() - interval '7 days'`);
}
