import { FettleError, type RunSummary } from '@fettle/contracts';
import {
  findCallBefore,
  findPrincipalById,
  findRunRow,
  lockContinuableRun,
  type CallingRun,
  type ContinuableRun,
  type Transaction,
} from '@fettle/database';
import { digestOf, type JsonObject } from '@fettle/runbook';
import { decide } from '@fettle/security';
import type { OperationContext } from './context.js';
import { tellContinued } from './continue-run.js';
import { takeUp } from './resume-run.js';
import { runSummary } from './run-view.js';
import { acceptRun, checkedInputs, findRunbook, storedSpec, type AcceptRequest } from './start-run.js';

/** Runs that call each other, one below the other. */
export const MAX_RUN_DEPTH = 8;

/** What a step asks for that calls another runbook. */
export interface SubRunRequest {
  readonly path: string;
  readonly runbook: string;
  /** Digest; null: the version that was the newest when the topmost run started. */
  readonly version: string | null;
  readonly inputs: JsonObject;
  readonly targets: 'own' | 'inherit';
  /** Narrows the targets further. */
  readonly on: string | null;
}

/**
 * Starts the run that a step calls, on behalf of whoever requested the run around it, with the rights that he has now. The caller
 * sees to it that a step calls once. Where the step's call in a run that this one takes up succeeded, and the run was lost before the
 * step ended, that is the run that it gives: it is not made again.
 * @throws FettleError as `startRun` does, and `call-depth`
 */
export async function startSubRun(
  transaction: Transaction,
  parent: CallingRun,
  request: SubRunRequest,
): Promise<RunSummary> {
  const { runbook, inputs, path } = request;
  const { space } = parent;
  if (parent.depth >= MAX_RUN_DEPTH) {
    throw new FettleError({
      code: 'call-depth',
      message: `Step "${path}" would be ${MAX_RUN_DEPTH + 1} runs deep, more than ${MAX_RUN_DEPTH}.`,
      remedy: 'See whether the runbooks call each other in a circle.',
    });
  }
  const context = await requesterContext(transaction, parent);
  const version = request.version ?? parent.closure?.[runbook];
  const stored = await findRunbook(context, { space, runbook, version });
  const spec = storedSpec({ runbook, space }, stored);
  const before = await calledBefore(context, { runId: parent.id, path }, { space, runbook, spec, inputs });
  if (before?.state === 'succeeded' && !before.isUndone) return runSummary((await findRunRow(transaction, before.id))!);
  const started = await acceptRun(context, {
    space,
    runbook,
    spec,
    versionId: stored.versionId,
    version: stored.version,
    inputs,
    on: request.on ?? undefined,
    allowEmpty: before !== null,
    reason: `called by step "${path}" of run ${parent.id}`.slice(0, 500),
    permission: 'run:start',
    action: 'run.start',
    requestDigest: digestOf({ ...request }),
    options: {
      parent: {
        runId: parent.id,
        path,
        depth: parent.depth,
        closure: parent.closure,
        inheritsTargets: request.targets === 'inherit',
      },
    },
    // What nobody knows of it was settled, or accepted, when the topmost run was taken up.
    ...(before === null
      ? {}
      : (await takeUp(context, before, spec, { targets: 'unfinished', rerunUnknown: true })).accept),
  });
  if (before !== null) await tellContinued(context, before.id, started.id, 'resume');
  return started;
}

/** The run that this step called in the run that its own takes up, if that is the same call; null: it is begun anew. */
async function calledBefore(
  context: OperationContext,
  wait: { readonly runId: string; readonly path: string },
  call: Pick<AcceptRequest, 'space' | 'runbook' | 'spec' | 'inputs'>,
): Promise<ContinuableRun | null> {
  const last = await findCallBefore(context.transaction, wait);
  // The step had ended well, and comes again because that was cleared away. What was undone of a run is made again, and no more.
  if (last === null || (last.state === 'succeeded' && last.isSettled && !last.isUndone)) return null;
  const before = await lockContinuableRun(context.transaction, last.id);
  if (before === null || before.runbook !== call.runbook) return null;
  const inputs = await checkedInputs(context, call);
  return digestOf(inputs) === digestOf(before.inputs) ? before : null;
}

/** Acts for whoever requested a run, with the rights that he has now. @throws FettleError `denied` */
export async function requesterContext(
  transaction: Transaction,
  { id, space, requestedBy }: Pick<CallingRun, 'id' | 'space' | 'requestedBy'>,
): Promise<OperationContext> {
  const requester = await findPrincipalById(transaction, requestedBy);
  if (!requester || requester.revokedAt !== null) {
    throw new FettleError({ code: 'denied', message: `Whoever requested run ${id} has been revoked.` });
  }
  const context: OperationContext = {
    transaction,
    actor: { principalId: requester.id, name: requester.name, kind: requester.kind, requestId: id },
    scopeOf: (permission, inSpace) => {
      const decision = decide({ bindings: requester.bindings, permission, space: inSpace });
      return decision.allowed ? decision.selectors : [];
    },
  };
  if (context.scopeOf('run:start', space)?.length === 0) {
    throw new FettleError({
      code: 'denied',
      message: `${requester.name} may no longer start runs in space "${space}".`,
    });
  }
  return context;
}
