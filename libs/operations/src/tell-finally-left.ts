import { actionContracts } from '@fettle/activities/contracts';
import { FettleError, runbookDocumentSchema } from '@fettle/contracts';
import {
  lockRun,
  readRunDefinition,
  saveLockedRun,
  tellFinallyLeft as saveFinallyLeft,
  type StopWay,
  type Transaction,
} from '@fettle/database';
import { compileRunbook, finallyLeft, type TargetCode } from '@fettle/runbook';

/**
 * Before a run is ended that has not gone its way to the end: says what of their `finally` its open targets have not come to. Where
 * all is well there is none: this is for a run that was lost, or whose time for `finally` was over, too.
 */
export async function tellFinallyLeft(transaction: Transaction, runId: string): Promise<void> {
  const run = await lockRun(transaction, runId);
  if (run.state !== 'running' || run.counts.pending + run.counts.running === 0) return;
  const definition = await readRunDefinition(transaction, runId);
  const codes = codesOf(definition?.document);
  if (codes.every(({ finallys }) => finallys.length === 0)) return;
  const ways = codes.map((code): StopWay => {
    const [leftAfter, leftHere] = [finallyLeft(codes, code, true), finallyLeft(codes, code, false)];
    return { stepIndex: code.index, path: code.path, begun: null, fresh: null, leftAfter, leftHere };
  });
  await saveFinallyLeft(transaction, run, ways);
  await saveLockedRun(transaction, run);
}

/** None where the stored runbook does not fit this release: such a run was never carried out by it. */
function codesOf(document: unknown): readonly TargetCode[] {
  const parsed = runbookDocumentSchema.safeParse(document);
  if (!parsed.success) return [];
  try {
    return compileRunbook(parsed.data.spec, actionContracts).targetCodes;
  } catch (error) {
    if (error instanceof FettleError) return [];
    throw error;
  }
}
