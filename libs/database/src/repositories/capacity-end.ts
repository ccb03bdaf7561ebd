import { durationMs, durationSchema } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { freeLocked, stepOf } from './capacity.js';
import { appendEntries, type LockedRun } from './run-entries.js';

/** The longest that any action may take: after it nothing of a step is at work any more. */
const LONGEST_STEP_MS = 6 * 3_600_000;

/**
 * What becomes of a run's capacity at its end: it is given back, unless a step had begun and nobody knows that it has ended. Its
 * command may be at work on a host still, so what the run held is kept for as long as that may take.
 */
export async function freeAtEnd(transaction: Transaction, run: LockedRun, lostSteps: readonly string[]): Promise<void> {
  if (lostSteps.length === 0) return freeLocked(transaction, run, null);
  const requests: { path: string; granted: boolean }[] = await transaction.query(
    `SELECT path, granted_at IS NOT NULL AS granted FROM capacity_request WHERE run_id = $1 ORDER BY path`,
    [run.id],
  );
  const waiting = requests.filter((one) => !one.granted).map((one) => one.path);
  if (waiting.length > 0) await freeLocked(transaction, run, waiting);
  const held = requests.filter((one) => one.granted).map((one) => one.path);
  if (held.length === 0) return;
  const keepMs = longestStepMs(await readDocument(transaction, run.id), new Set(lostSteps.map(idOf)));
  const kept: { until: Date }[] = await transaction.query(
    `SELECT clock_timestamp() + $1 * interval '1 millisecond' AS until`,
    [keepMs],
  );
  const until = kept[0]!.until;
  await transaction.query(`UPDATE capacity_request SET kept_until = $2 WHERE run_id = $1`, [run.id, until]);
  const data = { until: until.toISOString(), steps: [...new Set(lostSteps)].sort().slice(0, 20) };
  await appendEntries(
    transaction,
    run,
    held.map((path) => ({ kind: 'capacity-kept', step: stepOf(path), data: { path, ...data } })),
  );
}

/** Runs that have ended and whose capacity may be given back by now. */
export async function listFreeableRuns(transaction: Transaction, limit: number): Promise<string[]> {
  const rows: { run_id: string }[] = await transaction.query(
    `SELECT DISTINCT q.run_id FROM capacity_request q JOIN run r ON r.id = q.run_id
     WHERE r.ended_at IS NOT NULL AND (q.kept_until IS NULL OR q.kept_until <= clock_timestamp())
       AND NOT EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = q.run_id AND s.state = 'started')
     ORDER BY q.run_id LIMIT $1`,
    [limit],
  );
  return rows.map((row) => row.run_id);
}

/** A step's id is the last part of its path: `each_site[ber]/restart`. */
function idOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\[.*$/, '');
}

async function readDocument(transaction: Transaction, runId: string): Promise<unknown> {
  const rows: { parsed: unknown }[] = await transaction.query(
    `SELECT v.parsed FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1`,
    [runId],
  );
  return rows[0]?.parsed;
}

/** The longest time limit of the steps named; one that declares none may take as long as any. */
function longestStepMs(document: unknown, ids: ReadonlySet<string>): number {
  const limits = new Map<string, number>();
  collectLimits(document, limits);
  return Math.max(...[...ids].map((id) => limits.get(id) ?? LONGEST_STEP_MS));
}

/** Steps stand in lists inside of steps; whatever has an id and a timeout is one. */
function collectLimits(value: unknown, limits: Map<string, number>): void {
  if (typeof value !== 'object' || value === null) return;
  const { id, timeout } = value as { readonly id?: unknown; readonly timeout?: unknown };
  const duration = durationSchema.safeParse(timeout);
  if (typeof id === 'string' && duration.success) limits.set(id, durationMs(duration.data));
  for (const member of Object.values(value)) collectLimits(member, limits);
}
