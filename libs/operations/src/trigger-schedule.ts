import { FettleError, type RunSummary } from '@fettle/contracts';
import { hasOpenRun, setRunSchedule } from '@fettle/database';
import type { OperationContext } from './context.js';
import { requireSchedule } from './list-schedules.js';
import { recordAudit } from './record-audit.js';
import { findAccepted, startRun, type StartOptions } from './start-run.js';

/**
 * Starts the schedule's run now, on behalf of whoever asks. It is no nominal instant, so the ledger has no row for it; the run
 * names the schedule. A paused schedule may be triggered; one whose run is under way only if it allows overlap.
 */
export async function triggerSchedule(
  context: OperationContext,
  key: { readonly space: string; readonly name: string },
  options: Pick<StartOptions, 'idempotencyKey'> = {},
): Promise<RunSummary> {
  const { transaction } = context;
  const schedule = await requireSchedule(transaction, key, { lock: true });
  const { spec } = schedule.document;
  const request = {
    space: key.space,
    runbook: spec.runbook,
    inputs: spec.inputs,
    on: spec.targets,
    allowEmpty: false,
    reason: `schedule ${key.name}`,
  };
  const known = await findAccepted(context, key.space, options, request);
  if (known) return known;
  if (spec.overlap === 'skip' && (await hasOpenRun(transaction, schedule.id))) {
    throw new FettleError({
      code: 'conflict',
      message: `A run of schedule "${key.name}" is still under way.`,
      remedy: 'Wait for it or cancel it; `overlap: allow` in the document lets runs overlap.',
    });
  }
  const run = await startRun(context, request, options);
  await setRunSchedule(transaction, run.id, schedule.id);
  await recordAudit(context, {
    action: 'schedule.trigger',
    space: key.space,
    object: { kind: 'Schedule', name: key.name, id: schedule.id },
    detail: { runId: run.id },
  });
  return { ...run, schedule: key.name };
}
