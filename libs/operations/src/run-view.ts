import type { AssetLockWait, RunSummary, RunTarget } from '@fettle/contracts';
import type { RunRow, StepRow, TargetRow } from '@fettle/database';

const isoOrNull = (date: Date | null): string | null => date?.toISOString() ?? null;

export function runSummary(row: RunRow): RunSummary {
  return {
    id: row.id,
    space: row.space,
    runbook: row.runbook,
    version: row.version,
    state: row.state,
    counts: row.counts,
    targetCount: row.targetCount,
    undeterminedCount: row.undeterminedCount,
    requestedBy: row.requestedBy,
    reason: row.reason,
    schedule: row.schedule,
    fireAt: isoOrNull(row.fireAt),
    error: row.error,
    createdAt: row.createdAt.toISOString(),
    startedAt: isoOrNull(row.startedAt),
    endedAt: isoOrNull(row.endedAt),
    ...(row.parentRunId === null ? {} : { calledBy: { runId: row.parentRunId, step: row.parentPath ?? '' } }),
    ...(row.continues === null ? {} : { continues: { runId: row.continues, how: row.continuedHow ?? 'retry' } }),
  };
}

export function stepView(row: StepRow): RunTarget['steps'][number] {
  const { carriedFrom, resolution, startedAt, endedAt, ...rest } = row;
  return {
    ...rest,
    startedAt: startedAt.toISOString(),
    endedAt: isoOrNull(endedAt),
    ...(carriedFrom === null ? {} : { carriedFrom }),
    ...(resolution === null ? {} : { resolution }),
  };
}

/** `lastStderr` has what hosts said last in failed attempts. */
export function targetView(
  row: TargetRow,
  steps: readonly StepRow[],
  waits?: AssetLockWait,
  lastStderr: ReadonlyMap<StepRow, string> = new Map(),
): RunTarget {
  const { asset, assetId, wave, state, error, rollback, finallyLeft, closed } = row;
  return {
    asset,
    assetId,
    ...(wave === null ? {} : { wave }),
    state,
    error,
    ...(waits === undefined ? {} : { waits }),
    ...(closed === null ? {} : { closed }),
    ...(rollback === null ? {} : { rollback }),
    ...(finallyLeft === null ? {} : { finallyLeft }),
    steps: steps.map((step) => {
      const line = lastStderr.get(step);
      return { ...stepView(step), ...(line === undefined ? {} : { lastStderr: line }) };
    }),
  };
}
