import {
  FettleError,
  runbookDocumentSchema,
  notFoundError,
  type RunbookSpec,
  type RunSummary,
  type StartRunRequest,
} from '@fettle/contracts';
import {
  completeNewRun,
  type NewContinuation,
  type NewTargets,
  enqueueCommand,
  findDocument,
  findRunByKey,
  findRunRow,
  insertRun,
  readTargetSet,
  type StoredDocument,
  saveNotifiedStates,
} from '@fettle/database';
import { digestOf } from '@fettle/runbook';
import { validateInputs } from '@fettle/runbook/source';
import type { Permission } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import { checkInputNames } from './check-input-names.js';
import type { OperationContext } from './context.js';
import { holdNewRun, type CalendarChoice, type CalendarSubject } from './hold-to-calendars.js';
import { newRunRow, queuedEntry, startCommand, startedChange } from './new-run.js';
import { requirePlanned } from './require-planned.js';
import { recordAudit } from './record-audit.js';
import { resolveClosure } from './resolve-closure.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { runSummary } from './run-view.js';
import { setRollout } from './set-rollout.js';
import { selectorOf } from './run-selector.js';
import { checkAllowed, selectTargets } from './select-targets.js';

export interface StartOptions {
  readonly idempotencyKey?: string | undefined;
  /** The fire that starts it. */
  readonly fire?: { readonly scheduleId: string; readonly at: Date } | undefined;
  /** The step of another run that calls it. */
  readonly parent?: CallingStep | undefined;
  /** What the schedule that it is of says of calendars. */
  readonly schedule?: CalendarSubject['schedule'];
}

/** A step that calls a runbook, and what the called run has from the run around it. */
export interface CallingStep {
  readonly runId: string;
  readonly path: string;
  /** Runs above the calling one. */
  readonly depth: number;
  readonly closure: Readonly<Record<string, string>> | null;
  /** Only targets of the calling run on which nothing failed. */
  readonly inheritsTargets: boolean;
}

/**
 * Accepts a run: row, targets, entry, audit record and the command to Temporal commit together. The same idempotency key with
 * the same request gives the same run.
 * @throws FettleError `not-found`, `invalid-document`, `invalid-inputs`, `no-targets`, `too-many-targets`, `denied`, `idempotency-conflict`
 */
export async function startRun(
  context: OperationContext,
  request: StartRunRequest,
  options: StartOptions = {},
): Promise<RunSummary> {
  const known = await findAccepted(context, request.space, options, request);
  if (known) return known;
  return acceptRun(context, startRequest(request, await readStartable(context, request), options));
}

/** A version of a runbook that can be started. */
export interface Startable {
  readonly spec: RunbookSpec;
  readonly versionId: string;
  readonly version: string;
}

/** What is accepted of a request to start a run. */
export function startRequest(
  request: StartRunRequest,
  { spec, versionId, version }: Startable,
  options: StartOptions,
): AcceptRequest {
  return {
    ...request,
    spec,
    versionId,
    version,
    permission: 'run:start',
    action: 'run.start',
    requestDigest: digestOf(request),
    options,
    calendar: request,
  };
}

/**
 * The runbook that a request names, in the version that it names.
 * @throws FettleError `not-found`, `invalid-document`
 */
export async function readStartable(
  context: OperationContext,
  request: Pick<StartRunRequest, 'runbook' | 'space' | 'version'>,
): Promise<Startable> {
  const stored = await findRunbook(context, request);
  const { versionId, version } = stored;
  return { spec: storedSpec(request, stored), versionId, version };
}

/** @throws FettleError `not-found` */
export async function findRunbook(
  { transaction }: OperationContext,
  { space, runbook, version }: Pick<StartRunRequest, 'space' | 'runbook' | 'version'>,
): Promise<StoredDocument> {
  const stored = await findDocument(transaction, { space, kind: 'Runbook', name: runbook }, versionOf(version));
  if (stored) return stored;
  throw notFoundError('Runbook', runbook, {
    space,
    part: version === undefined ? undefined : `version ${version}`,
    remedy: 'See `fettle document list --kind Runbook`, or apply one with `fettle apply -f FILE`.',
  });
}

/** What was checked when it was applied may not fit any more: by an older version of Fettle, or changed beside it. */
export function storedSpec(
  { runbook, space }: Pick<StartRunRequest, 'runbook' | 'space'>,
  stored: { readonly parsed: unknown; readonly version: string },
): RunbookSpec {
  const parsed = runbookDocumentSchema.safeParse(stored.parsed);
  if (parsed.success) return parsed.data.spec;
  const { path = [], message = 'invalid' } = parsed.error.issues[0] ?? {};
  throw new FettleError({
    code: 'invalid-document',
    message: `The stored runbook "${runbook}" does not fit this version of Fettle: ${path.join('.')}: ${message}`,
    remedy: `Correct and apply it again: fettle document show Runbook ${runbook}`,
    detail: { space, version: stored.version },
  });
}

/** Digits name a version by its number, anything else by its digest. */
function versionOf(version: string | undefined): string | number | undefined {
  return version !== undefined && /^\d{1,9}$/.test(version) ? Number(version) : version;
}

/** The run that an earlier request with the same key made; another request with that key is a conflict. */
export async function findAccepted(
  context: OperationContext,
  space: string,
  options: StartOptions,
  request: object,
): Promise<RunSummary | null> {
  const { idempotencyKey } = options;
  if (idempotencyKey === undefined) return null;
  const earlier = await findRunByKey(context.transaction, space, requesterId(context), idempotencyKey);
  if (!earlier) return null;
  if (earlier.requestDigest !== digestOf(request)) {
    throw new FettleError({
      code: 'idempotency-conflict',
      message: `The idempotency key "${idempotencyKey}" was used for a different request, which made run ${earlier.id}.`,
      remedy: 'Use a new key for a new request.',
      detail: { runId: earlier.id },
    });
  }
  return runSummary((await findRunRow(context.transaction, earlier.id))!);
}

export function requesterId(context: OperationContext): string {
  if (context.actor.principalId !== null) return context.actor.principalId;
  throw new FettleError({ code: 'denied', message: 'A run is always started on behalf of a principal.' });
}

export interface AcceptRequest {
  readonly space: string;
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly versionId: string;
  readonly version: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly on?: string | undefined;
  readonly allowEmpty: boolean;
  readonly reason?: string | undefined;
  /** The run does what this plan says, or nothing. */
  readonly planDigest?: string | undefined;
  readonly permission: Permission;
  readonly action: string;
  readonly requestDigest: string;
  readonly options: StartOptions;
  /** It takes up an ended run, or makes it again. */
  readonly continued?: ContinuedRun | undefined;
  /** How whoever starts it goes by its calendars. */
  readonly calendar?: CalendarChoice | undefined;
}

/** What a new run has from the ended one that it continues. */
export interface ContinuedRun extends NewContinuation {
  readonly selector: string | null;
  /** The new run is a run of this schedule too, though of no instant: overlaps, pauses and followers go by it. */
  readonly scheduleId: string | null;
  /** Versions of the runbooks that it calls; absent: those that are the newest now. */
  readonly closure?: Readonly<Record<string, string>> | null | undefined;
  /** Instead of selecting: writes the targets of the new run; `within`: only those that are open in that run. */
  readonly takeTargets: (runId: string, within: string | null) => Promise<NewTargets>;
  /** For the audit record. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** The common end of every way to start a run. */
export async function acceptRun(context: OperationContext, request: AcceptRequest): Promise<RunSummary> {
  const { transaction } = context;
  const { spec, space } = request;
  const inputs = await checkedInputs(context, request);
  const selector = selectorOf(request);
  // Steps that act beyond assets cannot be narrowed to some.
  if (selector === null) requireUnnarrowed(context, request.permission, space);
  const id = uuidv7();
  const closure = await closureOf(context, request);
  await insertRun(
    transaction,
    newRunRow(id, request, { inputs, selector, closure, requestedBy: requesterId(context) }),
  );
  const targets = await newTargets(context, id, request, selector);
  await setRollout(transaction, id, spec.rollout, targets.count);
  if (spec.notify !== undefined) {
    await saveNotifiedStates(
      transaction,
      id,
      spec.notify.map(({ on }) => on),
    );
  }
  const { runbook, version, permission, planDigest } = request;
  if (planDigest !== undefined) {
    await requirePlanned(context, id, planDigest, { space, runbook, version, spec, inputs, permission });
  }
  await completeNewRun(transaction, id, targets, queuedEntry(context, request, targets));
  const held = await holdNewRun(context, request, { id, targetCount: targets.count });
  await recordAudit(context, startedChange(id, request, { inputs, selector, targets, held }));
  await enqueueCommand(transaction, startCommand(id, request));
  return runSummary((await findRunRow(transaction, id))!);
}

async function newTargets(
  context: OperationContext,
  id: string,
  request: AcceptRequest,
  selector: ReturnType<typeof selectorOf>,
): Promise<NewTargets> {
  const { continued, space } = request;
  const { parent } = request.options;
  const within = parent?.inheritsTargets === true ? parent.runId : null;
  if (continued !== undefined) {
    const taken = await continued.takeTargets(id, within);
    // Another one may have started the ended run, with rights on more assets.
    await checkAllowed(context, { id, space }, request.permission);
    return taken;
  }
  if (selector === null) return { ...(await readTargetSet(context.transaction, id)), undetermined: 0 };
  return selectTargets(context, { id, space }, selector, { ...request, within });
}

function closureOf({ transaction }: OperationContext, request: AcceptRequest): Promise<AcceptClosure> | AcceptClosure {
  const { continued, options, space, spec } = request;
  if (options.parent !== undefined) return options.parent.closure;
  return continued?.closure === undefined ? resolveClosure(transaction, space, spec) : continued.closure;
}

type AcceptClosure = Readonly<Record<string, string>> | null;

export async function checkedInputs(
  context: OperationContext,
  { runbook, space, spec, inputs: given }: Pick<AcceptRequest, 'runbook' | 'space' | 'spec' | 'inputs'>,
): Promise<Readonly<Record<string, unknown>>> {
  const { inputs, findings: misfits } = validateInputs(spec, given);
  const findings = inputs === null ? misfits : await checkInputNames(context, { space, spec, inputs });
  if (inputs !== null && findings.length === 0) return inputs;
  throw new FettleError({
    code: 'invalid-inputs',
    message: `The inputs do not fit runbook "${runbook}": ${findings[0]?.message ?? 'invalid'}.`,
    remedy: `See what it takes with: fettle run inputs ${runbook}`,
    detail: { findings },
  });
}
