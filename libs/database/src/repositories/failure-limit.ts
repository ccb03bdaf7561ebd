import { countFailures } from '@fettle/contracts';
import type { Transaction } from '../data-source.js';
import type { StoredError } from '../entities/runs.js';
import { updateRows } from '../update-rows.js';
import { appendEntries, moveCount, type LockedRun } from './run-entries.js';

/** Code of a run that stopped because too many targets failed, and of the targets that it did not come to. */
export const FAILURE_LIMIT = 'failure-limit';

/** Whether more targets have failed than the run bears: nothing more is dispatched. */
export function isOverLimit(run: LockedRun): boolean {
  return run.maxFailures !== null && countFailures(run.counts) > run.maxFailures;
}

/** What stands at a target that the run did not come to. */
export function undispatchedError(run: LockedRun): StoredError {
  const failures = countFailures(run.counts);
  const total = Object.values(run.counts).reduce((sum, count) => sum + count, 0);
  return {
    code: FAILURE_LIMIT,
    message: `Not dispatched any more: ${failures} of ${total} targets had failed, more than the limit of ${run.maxFailures ?? 0}.`,
    remedy: 'See why they failed; then run again for the rest with --on, or raise rollout.maxFailures.',
  };
}

/**
 * Ends the targets of the run that this segment has not come to, in this wave or in a later one: they are cancelled, with the
 * reason. Those that it has begun with go on to the segment's end, so that none is left half done. Once none is left, it does nothing.
 */
export async function cancelUndispatched(
  transaction: Transaction,
  run: LockedRun,
  segment: { readonly firstStep: number; readonly firstStepId: string; readonly wave: number },
): Promise<void> {
  const error = undispatchedError(run);
  const ended = await updateRows<{ asset_id: string; was: 'pending' | 'running' }>(
    transaction,
    // Each target that a segment has begun with has a row of its first step in the journal.
    `WITH left_over AS (
       SELECT t.asset_id, t.state FROM run_target t
       WHERE t.run_id = $1 AND t.state IN ('pending', 'running') AND t.step_index = $2 AND t.lane IS NULL
         AND NOT EXISTS (SELECT 1 FROM run_step s WHERE s.run_id = $1 AND s.asset_id = t.asset_id AND s.step = $3)
       FOR UPDATE)
     UPDATE run_target t SET state = 'cancelled', error = $4, ended_at = clock_timestamp()
     FROM left_over WHERE t.run_id = $1 AND t.asset_id = left_over.asset_id
     RETURNING t.asset_id, left_over.state AS was`,
    [run.id, segment.firstStep, segment.firstStepId, JSON.stringify(error)],
  );
  if (ended.length === 0) return;
  const stopped = {
    wave: segment.wave,
    failures: countFailures(run.counts),
    maxFailures: run.maxFailures,
    undispatched: ended.length,
  };
  for (const { was } of ended) moveCount(run.counts, was, 'cancelled');
  await appendEntries(transaction, run, [
    { kind: 'rollout-stopped', data: stopped },
    ...ended.map(({ asset_id }) => ({ kind: 'target-ended', assetId: asset_id, data: { state: 'cancelled' } })),
  ]);
}

/** Code of a run that stopped between two waves, because the gate did not open. */
const GATE_CLOSED = 'gate-closed';

/** What stands at the open targets of a run that a rollout stopped; null: it ended for another reason. */
export function stoppedRolloutError(run: LockedRun, error: StoredError | null): StoredError | null {
  if (error?.code === FAILURE_LIMIT) return undispatchedError(run);
  if (error?.code !== GATE_CLOSED) return null;
  const remedy = 'See what the gate looks at; once it is well, run again for the rest with --on.';
  return { code: GATE_CLOSED, message: 'Not dispatched any more: the gate between two waves did not open.', remedy };
}
