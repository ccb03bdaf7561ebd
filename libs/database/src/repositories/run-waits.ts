import type { RunState } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { storableJson } from '../storable-json.js';
import { updateRows } from '../update-rows.js';

export interface WaitKey {
  readonly runId: string;
  /** Path of the step that waits. */
  readonly path: string;
}

/** The run that a step called, as it is now. */
export interface CalledRun {
  readonly id: string;
  readonly runbook: string;
  readonly version: string;
  readonly state: RunState;
  readonly error: StoredError | null;
  readonly outputs: Readonly<Record<string, unknown>> | null;
}

/** Null: the step has called none (yet). */
export async function findCalledRun(transaction: Transaction, wait: WaitKey): Promise<CalledRun | null> {
  const rows: CalledRun[] = await transaction.query(
    `SELECT c.id, c.runbook, c.version, c.state, c.error, c.outputs
     FROM run_wait w JOIN run c ON c.id = w.child_run_id WHERE w.run_id = $1 AND w.path = $2`,
    [wait.runId, wait.path],
  );
  return rows[0] ?? null;
}

export async function insertCall(
  transaction: Transaction,
  wait: WaitKey,
  runbook: string,
  childRunId: string,
): Promise<void> {
  await transaction.query(
    `INSERT INTO run_wait (run_id, path, kind, name, child_run_id) VALUES ($1, $2, 'call', $3, $4)`,
    [wait.runId, wait.path, runbook, childRunId],
  );
}

/** Marks that the step waits no more. */
export async function endWait(transaction: Transaction, wait: WaitKey): Promise<void> {
  await transaction.query(
    `UPDATE run_wait SET ended_at = clock_timestamp() WHERE run_id = $1 AND path = $2 AND ended_at IS NULL`,
    [wait.runId, wait.path],
  );
}

/** A run as the start of a sub-run needs it. */
export interface CallingRun {
  readonly id: string;
  readonly space: string;
  readonly runbook: string;
  readonly requestedBy: string;
  readonly depth: number;
  readonly closure: Readonly<Record<string, string>> | null;
  readonly cancelRequested: boolean;
  readonly state: RunState;
}

/** Locks the run, so that no step of it calls twice at once. */
export async function lockCallingRun(transaction: Transaction, runId: string): Promise<CallingRun | null> {
  const rows: CallingRun[] = await transaction.query(
    `SELECT id, space, runbook, requested_by AS "requestedBy", depth, closure, cancel_requested_at IS NOT NULL AS "cancelRequested",
       state
     FROM run WHERE id = $1 FOR UPDATE`,
    [runId],
  );
  return rows[0] ?? null;
}

/** On whose behalf a run goes. */
export async function findRunRequester(
  transaction: Transaction,
  runId: string,
): Promise<Pick<CallingRun, 'id' | 'space' | 'requestedBy'> | null> {
  const rows: Pick<CallingRun, 'id' | 'space' | 'requestedBy'>[] = await transaction.query(
    `SELECT id, space, requested_by AS "requestedBy" FROM run WHERE id = $1`,
    [runId],
  );
  return rows[0] ?? null;
}

/** Ids of the runs directly below that have not ended. */
export async function listOpenSubRuns(transaction: Transaction, runId: string): Promise<string[]> {
  const rows: { id: string }[] = await transaction.query(
    `SELECT id FROM run WHERE parent_run_id = $1 AND ended_at IS NULL ORDER BY id`,
    [runId],
  );
  return rows.map((row) => row.id);
}

/** A signal from outside. */
export interface RunSignal {
  readonly id: string;
  readonly name: string;
  readonly payload: unknown;
  readonly sentBy: string;
}

/** A step waits for a signal from now on; one that came before is taken at once. The caller holds the run's lock. */
export async function openSignalWait(transaction: Transaction, wait: WaitKey, signal: string): Promise<void> {
  await transaction.query(
    `INSERT INTO run_wait (run_id, path, kind, name) VALUES ($1, $2, 'signal', $3) ON CONFLICT DO NOTHING`,
    [wait.runId, wait.path, signal],
  );
}

/** The signal that a waiting step has taken, or takes now: the oldest of its name that nobody took. The caller holds the run's lock. */
export async function takeSignal(transaction: Transaction, wait: WaitKey): Promise<RunSignal | null> {
  const rows = await updateRows<RunSignal>(
    transaction,
    `UPDATE run_signal s SET taken_by = $2
     WHERE s.id = coalesce(
       (SELECT id FROM run_signal WHERE run_id = $1 AND taken_by = $2),
       (SELECT g.id FROM run_signal g JOIN run_wait w ON w.run_id = g.run_id AND w.name = g.name
        WHERE w.run_id = $1 AND w.path = $2 AND w.kind = 'signal' AND w.ended_at IS NULL AND g.taken_by IS NULL
        ORDER BY g.id LIMIT 1))
     RETURNING s.id, s.name, s.payload, s.sent_by AS "sentBy"`,
    [wait.runId, wait.path],
  );
  return rows[0] ?? null;
}

/** Keeps a signal for the steps that wait for it, now or later. */
export async function insertSignal(transaction: Transaction, runId: string, signal: RunSignal): Promise<void> {
  await transaction.query(`INSERT INTO run_signal (id, run_id, name, payload, sent_by) VALUES ($1, $2, $3, $4, $5)`, [
    signal.id,
    runId,
    signal.name,
    JSON.stringify(storableJson(signal.payload)),
    signal.sentBy,
  ]);
}

/** Signals of a run that nobody has taken. */
export async function countWaitingSignals(transaction: Transaction, runId: string): Promise<number> {
  const rows: { count: number }[] = await transaction.query(
    `SELECT count(*) AS count FROM run_signal WHERE run_id = $1 AND taken_by IS NULL`,
    [runId],
  );
  return rows[0]!.count;
}

/** Paths of the steps that wait for a signal now, the longest wait first. */
export async function listSignalWaits(transaction: Transaction, runId: string, signal: string): Promise<string[]> {
  const rows: { path: string }[] = await transaction.query(
    `SELECT path FROM run_wait WHERE run_id = $1 AND kind = 'signal' AND name = $2 AND ended_at IS NULL ORDER BY opened_at, path`,
    [runId, signal],
  );
  return rows.map((row) => row.path);
}
