import { runbookDocumentSchema } from '@fettle/contracts';
import { listOpenRunsOfSpace, type EndedDuration } from '@fettle/database';
import type { OperationContext } from './context.js';
import type { Occupation } from './forecast-collisions.js';
import { demandOf } from './forecast-demand.js';
import { expectedDuration } from './forecast-outcomes.js';
import type { ForecastTargets } from './forecast-targets.js';

/** Open runs that are compared with coming ones; the oldest. */
export const MAX_OPEN_RUNS = 200;

export interface OpenOccupation extends Occupation {
  readonly scheduleId: string | null;
}

interface OpenQuery {
  readonly space: string;
  readonly fromMs: number;
  readonly durations: readonly EndedDuration[];
  readonly targets: ForecastTargets;
  readonly limits: string[];
}

/** Runs that are open now, for as long as runs of their runbook take; one that has taken longer is reckoned to take ten minutes more. */
export async function openOccupations(context: OperationContext, query: OpenQuery): Promise<OpenOccupation[]> {
  const { space, fromMs, durations, targets, limits } = query;
  const rows = await listOpenRunsOfSpace(context.transaction, space, MAX_OPEN_RUNS + 1);
  if (rows.length > MAX_OPEN_RUNS)
    limits.push(`more than ${MAX_OPEN_RUNS} runs are open: collisions with the youngest of them are not told`);
  const found: OpenOccupation[] = [];
  for (const { runId, runbook, scheduleId, startedAt, inputs, parsed } of rows.slice(0, MAX_OPEN_RUNS)) {
    const own = durations.filter((one) => one.runbook === runbook).map(({ durationMs }) => durationMs);
    const { expectedMs } = expectedDuration([], own);
    const document = runbookDocumentSchema.safeParse(parsed);
    // Of a version that this one cannot read it is not known what it changes: the worst is assumed.
    const demand = document.success
      ? demandOf(document.data.spec, inputs)
      : { lock: 'exclusive' as const, wants: new Map() };
    const selected = await targets.ofOpenRun(runId);
    const usualEndMs = startedAt.getTime() + expectedMs;
    found.push({
      other: { runId, runbook },
      scheduleId,
      startMs: Math.min(startedAt.getTime(), fromMs),
      endMs: usualEndMs > fromMs ? usualEndMs : fromMs + expectedDuration([], []).expectedMs,
      lock: demand.lock,
      wants: demand.wants,
      assets: selected.assets,
    });
  }
  return found;
}
