import { endedRunStates, FettleError } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import { updateRows } from '../update-rows.js';
import { readCovered } from './capacity-cover.js';
import { lockCapacity, readQueuePlace, settleCapacity, type QueuePlace } from './capacity-queue.js';
import { appendEntries, lockRun, notifyRun, saveLockedRun, type LockedRun } from './run-entries.js';

export interface CapacityTake {
  readonly runId: string;
  /** Path of the step; empty: the whole run. */
  readonly path: string;
  /** Each key once, sorted: `readWants` of the runbook room gives them so. */
  readonly wants: readonly { readonly key: string; readonly units: number }[];
  /** The higher comes first; absent: that of the run's document. */
  readonly priority?: number;
}

export type CapacityTaken = { readonly kind: 'granted' } | ({ readonly kind: 'queued' } & QueuePlace);

/**
 * Takes all that a step wants, or a place in the queue and nothing. Asking again for the same step of the run gives the same grant,
 * or the place that it has come to. What is held around the step covers it: see `readCovered`. The run's entries say when it was queued and
 * when it got what it waited for.
 * @throws FettleError `capacity-impossible` where a key never has as many units, `run-ended`
 */
export async function takeCapacity(transaction: Transaction, take: CapacityTake): Promise<CapacityTaken> {
  const { runId, path } = take;
  const run = await lockRun(transaction, runId);
  if (endedRunStates.includes(run.state)) {
    throw new FettleError({ code: 'run-ended', message: `Run ${runId} has ended; it takes no capacity any more.` });
  }
  const space = await readSpace(transaction, runId);
  await lockCapacity(transaction, space);
  let known = await readRequest(transaction, runId, path);
  const isNew = known === null;
  if (isNew) await insertRequest(transaction, take, space);
  if (known?.isGranted !== true) {
    await settleCapacity(transaction, space, await readKeys(transaction, runId, path), { runId, path });
    known = await readRequest(transaction, runId, path);
  }
  const seqBefore = run.seq;
  const data = { path, wants: take.wants };
  let taken: CapacityTaken = { kind: 'granted' };
  if (known?.isGranted !== true) {
    const place = await readQueuePlace(transaction, { runId, path, space });
    taken = { kind: 'queued', ...place };
    if (isNew)
      await appendEntries(transaction, run, [
        { kind: 'capacity-queued', step: stepOf(path), data: { ...data, ...place } },
      ]);
  } else if (!known.isTold) {
    await transaction.query(`UPDATE capacity_request SET is_told = true WHERE run_id = $1 AND path = $2`, [
      runId,
      path,
    ]);
    await appendEntries(transaction, run, [
      {
        kind: 'capacity-granted',
        step: stepOf(path),
        data: { ...data, waitedMs: isNew ? 0 : Math.round(known.waitedMs) },
      },
    ]);
  }
  if (run.seq > seqBefore) {
    await saveLockedRun(transaction, run);
    await notifyRun(transaction, runId);
  }
  return taken;
}

/** Gives back what a step holds, or its place in the queue; those who wait for it are granted and woken. Doing it again changes nothing. */
export async function freeCapacity(transaction: Transaction, runId: string, path: string): Promise<void> {
  const run = await lockRun(transaction, runId);
  await freeAndSave(transaction, run, [path]);
}

/** Gives back all that a run holds and its places in the queue, whatever it is doing. */
export async function freeRun(transaction: Transaction, runId: string): Promise<void> {
  const run = await lockRun(transaction, runId);
  await freeAndSave(transaction, run, null);
}

async function freeAndSave(transaction: Transaction, run: LockedRun, paths: readonly string[] | null): Promise<void> {
  const seqBefore = run.seq;
  await freeLocked(transaction, run, paths);
  if (run.seq === seqBefore) return;
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, run.id);
}

/** The whole run is no step of it. */
export function stepOf(path: string): string | null {
  return path === '' ? null : path;
}

interface RequestRow {
  readonly isGranted: boolean;
  readonly isTold: boolean;
  readonly waitedMs: number;
}

async function readRequest(transaction: Transaction, runId: string, path: string): Promise<RequestRow | null> {
  const rows: RequestRow[] = await transaction.query(
    `SELECT granted_at IS NOT NULL AS "isGranted", is_told AS "isTold",
       (extract(epoch FROM granted_at - created_at) * 1000)::float8 AS "waitedMs"
     FROM capacity_request WHERE run_id = $1 AND path = $2`,
    [runId, path],
  );
  return rows[0] ?? null;
}

async function readSpace(transaction: Transaction, runId: string): Promise<string> {
  const rows: { space: string }[] = await transaction.query(`SELECT space FROM run WHERE id = $1`, [runId]);
  return rows[0]!.space;
}

async function readKeys(transaction: Transaction, runId: string, path: string): Promise<string[]> {
  const rows: { key: string }[] = await transaction.query(
    `SELECT key FROM capacity_want WHERE run_id = $1 AND path = $2`,
    [runId, path],
  );
  return rows.map((row) => row.key);
}

/** The request with what is left to take of it: units that an enclosing step or a calling run holds are its own already. */
async function insertRequest(transaction: Transaction, take: CapacityTake, space: string): Promise<void> {
  const { runId, path, wants } = take;
  const keys = wants.map((want) => want.key);
  const covered = await readCovered(transaction, take, keys);
  const left = wants
    .map(({ key, units }) => ({ key, units: units - (covered.get(key) ?? 0) }))
    .filter(({ units }) => units > 0);
  await requirePossible(transaction, take, space);
  await transaction.query(
    // Nothing left to take: it is granted as it comes.
    `INSERT INTO capacity_request (run_id, path, space, priority, granted_at)
     SELECT r.id, $2, $3, coalesce($4, (v.parsed -> 'spec' ->> 'priority')::integer, 0), CASE WHEN $5 THEN clock_timestamp() END
     FROM run r JOIN document_version v ON v.id = r.version_id WHERE r.id = $1`,
    [runId, path, space, take.priority ?? null, left.length === 0],
  );
  await transaction.query(
    `INSERT INTO capacity_want (run_id, path, space, key, units)
     SELECT $1, $2, $3, w.key, w.units FROM jsonb_to_recordset($4::jsonb) AS w (key text, units integer)`,
    [runId, path, space, JSON.stringify(left)],
  );
}

async function requirePossible(transaction: Transaction, { wants, path }: CapacityTake, space: string): Promise<void> {
  const rows: { key: string; units: number; limit: number }[] = await transaction.query(
    `SELECT w.key, w.units, coalesce(l.units, 1) AS "limit"
     FROM jsonb_to_recordset($2::jsonb) AS w (key text, units integer) LEFT JOIN capacity_limit l ON l.space = $1 AND l.key = w.key
     WHERE w.units > coalesce(l.units, 1) ORDER BY w.key COLLATE "C" LIMIT 1`,
    [space, JSON.stringify(wants)],
  );
  const row = rows[0];
  if (!row) return;
  throw new FettleError({
    code: 'capacity-impossible',
    message: `${path === '' ? 'The run' : `Step "${path}"`} wants ${row.units} units of ${row.key}, which has ${row.limit} in all.`,
    remedy: `Ask for fewer, or apply a Capacity document for ${row.key} with a higher limit.`,
    detail: { ...row },
  });
}

/** The part of freeing that a transaction with the run's lock does: see `endRun`. Entries are appended, the run is not saved. */
export async function freeLocked(
  transaction: Transaction,
  run: LockedRun,
  paths: readonly string[] | null,
): Promise<void> {
  // Requests come and go under the run's lock only; most runs have none, and need no other lock.
  const known: { space: string }[] = await transaction.query(
    `SELECT space FROM capacity_request WHERE run_id = $1 AND ($2::text[] IS NULL OR path = ANY ($2)) LIMIT 1`,
    [run.id, paths],
  );
  const space = known[0]?.space;
  if (space === undefined) return;
  await lockCapacity(transaction, space);
  const freed: { path: string; was_granted: boolean; keys: string[] }[] = await updateRows(
    transaction,
    `WITH gone AS (
       SELECT q.run_id, q.path, q.granted_at, coalesce(array_agg(w.key ORDER BY w.key) FILTER (WHERE w.key IS NOT NULL), '{}') AS keys
       FROM capacity_request q LEFT JOIN capacity_want w ON w.run_id = q.run_id AND w.path = q.path
       WHERE q.run_id = $1 AND ($2::text[] IS NULL OR q.path = ANY ($2)) GROUP BY q.run_id, q.path, q.granted_at)
     DELETE FROM capacity_request q USING gone WHERE q.run_id = gone.run_id AND q.path = gone.path
     RETURNING q.path, gone.granted_at IS NOT NULL AS was_granted, gone.keys`,
    [run.id, paths],
  );
  await appendEntries(
    transaction,
    run,
    freed
      .sort((left, right) => (left.path < right.path ? -1 : 1))
      .map(({ path, was_granted, keys }) => ({
        kind: 'capacity-freed',
        step: stepOf(path),
        data: { path, keys, was: was_granted ? 'held' : 'queued' },
      })),
  );
  await settleCapacity(transaction, space, [...new Set(freed.flatMap((one) => one.keys))], null);
}
