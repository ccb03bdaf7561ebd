import { FettleError, notFoundError, type ResolveRunRequest, type RunSummary } from '@fettle/contracts';
import {
  appendEntries,
  findRunRow,
  findRunTarget,
  lockRun,
  NIL_ASSET_ID,
  notifyRun,
  resolveSteps,
  saveLockedRun,
} from '@fettle/database';
import type { OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { runSummary } from './run-view.js';
import { requireRunInScope } from './select-targets.js';

const UNDO = /#undo$/;

/**
 * Settles by hand what nobody knows: whether a step that is `unknown` on a target (or of the run itself) happened. Its state stays
 * what it is; a run that takes this one up goes by what was found.
 * @throws FettleError `not-found`, `denied`, `nothing-unknown`
 */
export async function resolveRun(
  context: OperationContext,
  runId: string,
  request: ResolveRunRequest,
): Promise<RunSummary> {
  const { transaction, actor } = context;
  const row = await findRunRow(transaction, runId);
  if (!row) throw notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
  await requireRunInScope(context, 'run:start', row);
  const run = await lockRun(transaction, runId);
  const { target, as, reason } = request;
  const assetId = target === undefined ? NIL_ASSET_ID : (await findRunTarget(transaction, runId, target))?.assetId;
  if (assetId === undefined) {
    throw notFoundError('target', target ?? '', { remedy: `See its targets with: fettle run show ${runId}` });
  }
  const resolution = { as, reason, by: actor.name, at: new Date().toISOString() };
  const path = request.step?.replace(UNDO, '') ?? null;
  const phases =
    request.step === undefined ? (['do', 'undo'] as const) : ([UNDO.test(request.step) ? 'undo' : 'do'] as const);
  const settled = [];
  for (const phase of phases) {
    settled.push(...(await resolveSteps(transaction, { runId, assetId, step: path, phase }, resolution)));
  }
  if (settled.length === 0) throw nothingUnknown(runId, request);
  const steps = settled.map(({ step, phase }) => (phase === 'undo' ? `${step}#undo` : step));
  await appendEntries(
    transaction,
    run,
    steps.map((step) => ({
      kind: 'step-resolved',
      assetId: target === undefined ? null : assetId,
      step,
      data: { as, reason, by: actor.name },
    })),
  );
  await saveLockedRun(transaction, run);
  await recordAudit(context, {
    action: 'run.resolve',
    space: row.space,
    object: { kind: 'run', name: runId, id: runId },
    detail: { target: target ?? null, steps, as, reason },
  });
  await notifyRun(transaction, runId);
  return runSummary(row);
}

function nothingUnknown(runId: string, { target, step }: ResolveRunRequest): FettleError {
  const where = target === undefined ? 'of the run itself' : `on ${target}`;
  const what = step === undefined ? 'No step' : `No attempt of step "${step}"`;
  return new FettleError({
    code: 'nothing-unknown',
    message: `${what} ${where} is unknown and unsettled.`,
    remedy: `See what is: fettle run show ${runId}`,
  });
}
