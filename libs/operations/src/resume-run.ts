import { FettleError, type ResumeRunRequest, type RunbookSpec, type RunSummary } from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import {
  carryControlSteps,
  carrySteps,
  dropCleared,
  insertResumedTargets,
  listContinuations,
  listControlJournal,
  listDecisionEntries,
  listLackingSteps,
  listStepsOnTargets,
  readTargetSet,
  type ClearedSteps,
  type ContinuableRun,
  type ControlJournalRow,
  type NewTargets,
  type Transaction,
} from '@fettle/database';
import {
  compileRunbook,
  digestOf,
  emptyMemo,
  makeMemo,
  type JournaledStep,
  type JsonValue,
  type Memo,
  type RunJournal,
  type TargetCode,
} from '@fettle/runbook';
import { requireAcknowledged } from './acknowledge-version.js';
import type { OperationContext } from './context.js';
import {
  chosenStates,
  isUndo,
  permissionFor,
  requireContinuable,
  requireReason,
  requireSettled,
  tellContinued,
  unsettledBelow,
} from './continue-run.js';
import { compareCalls } from './edited-calls.js';
import { compareVersions, type EditedVersion } from './edited-version.js';
import { resolveClosure } from './resolve-closure.js';
import { acceptRun, findAccepted, findRunbook, storedSpec, type ContinuedRun, type StartOptions } from './start-run.js';

/** What a resumed run may know of the steps of the run itself, as JSON: it goes into the history of its workflow. */
const MAX_MEMO_BYTES = 1_048_576;

/** What stands in the row of a resumed run: the engine's memo, and which run's tokens a step has that is made again. */
export interface StoredMemo extends Memo {
  /** Path -> the run that first tried the step, so that whoever is told of it by a key knows it again. */
  readonly tokenRuns: Readonly<Record<string, string>>;
}

/**
 * Takes up an ended run where it stopped: a new run that knows what the ended one did, which stays as it is.
 * @throws FettleError `not-found`, `denied`, `run-open`, `called-run`, `nothing-to-resume`, `already-resumed`, `unsettled-steps`,
 *   `version-changed`, `limit-exceeded`, `idempotency-conflict`
 */
export async function resumeRun(
  context: OperationContext,
  runId: string,
  request: ResumeRunRequest,
  options: StartOptions = {},
): Promise<RunSummary> {
  const run = await requireContinuable(context, runId);
  const key = { resume: runId, ...request };
  const known = await findAccepted(context, run.space, options, key);
  if (known) return known;
  requireReason(request);
  await requireResumable(context, run);
  const { space, runbook, inputs } = run;
  const { spec, versionId, version, document } = await versionFor(context, run, request.version);
  // Who asks for a version has the newest of the runbooks that it calls, as a run that starts now.
  const closure = request.version === undefined ? undefined : await resolveClosure(context.transaction, space, spec);
  const { accept, edited, known: ends } = await takeUp(context, run, spec, request, closure);
  const called = closure === undefined ? [] : await compareCalls(context, run, { spec, closure, known: ends });
  if (versionId !== run.versionId || called.length > 0) {
    requireAcknowledged(run, { version, document, acknowledge: request.acknowledge, edited, called });
  }
  const summary = await acceptRun(context, {
    ...{ space, runbook, spec, versionId, version, inputs },
    allowEmpty: true,
    reason: request.reason,
    permission: permissionFor(run),
    action: 'run.resume',
    requestDigest: digestOf(key),
    options,
    calendar: request,
    ...accept,
  });
  await tellContinued(context, runId, summary.id, 'resume');
  return summary;
}

/** @throws FettleError `nothing-to-resume`, `already-resumed` */
async function requireResumable({ transaction }: OperationContext, { id, state }: ContinuableRun): Promise<void> {
  if (state === 'succeeded') {
    throw new FettleError({
      code: 'nothing-to-resume',
      message: `Run ${id} has succeeded; nothing of it is left to do.`,
      remedy: `To do all of it again: fettle run retry ${id} --targets all`,
    });
  }
  // What two runs go on with would be done twice.
  const resumed = (await listContinuations(transaction, id)).find(({ how }) => how === 'resume');
  if (resumed === undefined) return;
  throw new FettleError({
    code: 'already-resumed',
    message: `Run ${id} was taken up by run ${resumed.runId}, which is ${resumed.state}.`,
    remedy: `Go on from there: fettle run resume ${resumed.runId}`,
    detail: { runId: resumed.runId },
  });
}

interface ChosenVersion {
  readonly spec: RunbookSpec;
  readonly versionId: string;
  readonly version: string;
  readonly document: unknown;
}

/** The version that it goes on with: its own, or the one that is asked for. */
async function versionFor(
  context: OperationContext,
  run: ContinuableRun,
  wanted: string | undefined,
): Promise<ChosenVersion> {
  const { space, runbook, version, versionId, document } = run;
  const own = { versionId, version, parsed: document };
  const named = { space, runbook, version: wanted === 'latest' ? undefined : wanted };
  const stored = wanted === undefined ? own : await findRunbook(context, named);
  return { ...stored, spec: storedSpec({ runbook, space }, stored), document: stored.parsed };
}

/** What a new run has from the ended one, for `acceptRun`; and how the spec differs from what was done. */
export interface TakenUp {
  readonly accept: { readonly continued: ContinuedRun };
  readonly edited: EditedVersion;
  /** Ends of steps of the run itself, by path. */
  readonly known: Readonly<Record<string, unknown>>;
}

/** `newest`: versions of the runbooks that it calls; left out: those that the ended run had. */
export async function takeUp(
  context: OperationContext,
  run: ContinuableRun,
  spec: RunbookSpec,
  request: Pick<ResumeRunRequest, 'targets' | 'rerunUnknown'>,
  newest?: Readonly<Record<string, string>> | null,
): Promise<TakenUp> {
  const { transaction } = context;
  const { id: runId, selector, scheduleId } = run;
  const { targets: choice, rerunUnknown } = request;
  const states = chosenStates(choice, run);
  const compiled = compileRunbook(spec, actionContracts);
  const { program, targetCodes } = compiled;
  const edited = compareVersions(run, compiled);
  const rows = (await listControlJournal(transaction, runId)).filter(({ path }) => edited.fits(path));
  const lacking = await listLackingSteps(transaction, runId, { states, passedOn: passedOn(targetCodes) });
  const memo = await storedMemo(transaction, run, rows, (journal) => makeMemo(program, { ...journal, lacking }));
  const unsettled = await unsettledBelow(context, {
    ...{ runId, states, known: memo.ends, findsDetached: true },
    forResume: { passedOn: passedOn(targetCodes) },
  });
  requireSettled(rerunUnknown ? unsettled.filter(isUndo) : unsettled);
  const own = unsettled.filter((one) => one.runId === runId && one.asset === null && !isUndo(one));
  const known = Object.keys(memo.ends);
  const onTargets = (await listStepsOnTargets(transaction, runId)).filter(({ isDone }) => isDone);
  const takeTargets = async (id: string, within: string | null): Promise<NewTargets> => {
    const counts = await insertResumedTargets(transaction, id, runId, { states, within });
    await carrySteps(transaction, id, runId, {
      paths: targetCodes.filter(({ path }) => edited.fits(path)).map(({ path }) => path),
      passedOn: passedOn(targetCodes),
      rerunsUnknown: rerunUnknown,
    });
    for (const cleared of clearedBy(targetCodes)) await dropCleared(transaction, id, runId, cleared);
    await carryControlSteps(transaction, id, runId, { known, again: own.map(({ step }) => step) });
    return { ...(await readTargetSet(transaction, id)), undetermined: 0, counts };
  };
  const detail = { continues: runId, targets: choice, rerunUnknown, known: known.length };
  const closure = newest === undefined ? run.closure : newest;
  const continued: ContinuedRun = { runId, how: 'resume', memo, selector, scheduleId, closure, takeTargets, detail };
  const done = [...known, ...onTargets.map(({ step }) => step)];
  return { accept: { continued }, edited: { ...edited, known: done }, known: memo.ends };
}

async function storedMemo(
  transaction: Transaction,
  run: ContinuableRun,
  rows: readonly ControlJournalRow[],
  make: (journal: Omit<RunJournal, 'lacking'>) => Memo,
): Promise<StoredMemo> {
  const before = { ...emptyMemo, tokenRuns: {}, ...(run.memo as Partial<StoredMemo> | null) };
  const decisions = await listDecisionEntries(transaction, run.id);
  const pathsOf = (kind: string): string[] => decisions.filter((one) => one.kind === kind).map(({ step }) => step);
  const branches = decisions.filter(({ branch }) => branch !== null).map(({ step, branch }) => [step, branch ?? 0]);
  const memo = make({
    steps: rows.map(journaled),
    chosen: { ...before.chosen, ...(Object.fromEntries(branches) as Record<string, number>) },
    passed: pathsOf('failure-passed'),
    caught: pathsOf('failure-caught'),
    onTargets: (await listStepsOnTargets(transaction, run.id)).map(({ step }) => step),
    isComplete: run.error?.code === 'targets-failed',
  });
  // What succeeded and is not known (it stands in a `try` that was cleared away) is to happen once more, under a key of its own.
  const again = rows.filter(
    ({ path, state, isUndone }) => !isUndone && state !== 'succeeded' && !Object.hasOwn(memo.ends, path),
  );
  const tokenRuns = Object.fromEntries(again.map(({ path }) => [path, before.tokenRuns[path] ?? run.id]));
  const stored = { ...memo, tokenRuns };
  const sizeBytes = Buffer.byteLength(JSON.stringify(stored));
  if (sizeBytes <= MAX_MEMO_BYTES) return stored;
  throw new FettleError({
    code: 'limit-exceeded',
    message: `What is known of run ${run.id} has ${sizeBytes} bytes as JSON, more than ${MAX_MEMO_BYTES}.`,
    remedy: `Make it again from its beginning: fettle run retry ${run.id}`,
  });
}

function journaled(row: ControlJournalRow): JournaledStep {
  const { error, output, state, ...rest } = row;
  const known = state === 'unreachable' || state === 'quarantined' ? 'failed' : state;
  return {
    ...rest,
    state: known,
    output: (output ?? null) as JsonValue,
    error: error === null ? null : { code: error.code, message: error.message },
  };
}

/** Steps whose failure a target goes on after: passed over, or caught. */
function passedOn(codes: readonly TargetCode[]): readonly string[] {
  return codes
    .filter(({ step, onFailure }) => step.onError === 'continue' || (onFailure !== null && !onFailure.isPutOff))
    .map(({ path }) => path);
}

/** For each outermost `finally` of the target level: the steps of its `try`, and its own. */
function clearedBy(codes: readonly TargetCode[]): ClearedSteps[] {
  const regions = new Map<number, Record<keyof ClearedSteps, string[]>>();
  for (const { tryFrom, path, isLast, finallys } of codes) {
    if (tryFrom === null) continue;
    const region = regions.get(tryFrom) ?? { steps: [], last: [], anyLast: [] };
    region.steps.push(path);
    if (finallys.length > 0) region.anyLast.push(path);
    if (isLast) region.last.push(path);
    regions.set(tryFrom, region);
  }
  return [...regions.values()];
}
