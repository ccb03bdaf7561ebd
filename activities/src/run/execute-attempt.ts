import { FettleError, durationMs, type ActionStep, type Effect, type StepState } from '@fettle/contracts';
import {
  repeatableEffects,
  saveFacts,
  type CarriedAttempt,
  type ClaimedTarget,
  type JournaledEffect,
  type StartedAttempt,
  type StoredError,
  type TargetAsset,
} from '@fettle/database';
import {
  stepOutputs,
  targetStepDecision,
  type CompiledStep,
  type JsonObject,
  type StepDecision,
} from '@fettle/runbook';
import type { Variables } from '@fettle/expression';
import { findAction } from '../actions.js';
import {
  StillRunning,
  type DetachedContext,
  type DetachedMemory,
  type TargetAction,
  type TargetContext,
  type UndoContext,
} from '../implementation.js';
import { patchLedger } from '../patch/ledger.js';
import { HOST_PATIENCE_MS } from '../ssh/execute-detached.js';
import { attemptMemo } from './attempt-memo.js';
import type { AttemptLog } from './attempt-log.js';
import { withDatabasePatience } from './database-retry.js';
import { judgeError, storedError } from './judge-error.js';
import type { KnownRun } from './load-run.js';
import { probeLost } from './probe-lost.js';
import type { AttemptSecrets } from './secrets.js';
import type { WorkerServices } from './services.js';
import { endpointOf, targetConnection, type TargetEndpoint } from './target-connection.js';
import { credentialChange } from './use-credential.js';

/** How one attempt of one step on one target ended. */
export interface AttemptOutcome {
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  readonly output: Readonly<Record<string, unknown>> | null;
  /** The action succeeded and only its output could not be kept: another attempt would have its effect twice. */
  readonly final?: true;
}

/** The command runs on: the target is let go, and looked at again after the delay. */
export interface ParkedOutcome {
  readonly state: 'parked';
  readonly delayMs: number;
}

/** One step on one claimed target, with what its expressions may read. */
export interface AttemptSubject {
  readonly run: KnownRun;
  readonly target: ClaimedTarget;
  readonly step: ActionStep;
  /** What the journal calls it: its id, after the iterations and handlers that it stands in. */
  readonly path: string;
  /** What expressions read of the iterations around it. */
  readonly item: JsonObject;
  /** Outputs of steps of the run, by id. */
  readonly known: JsonObject;
  /** The same step, parsed. */
  readonly compiled: CompiledStep;
  readonly asset: TargetAsset | undefined;
}

export interface AttemptRequest extends AttemptSubject {
  readonly prepared: Preparation;
  readonly token: string;
  readonly undo: UndoContext;
  /** What the journal has of it. */
  readonly started: StartedAttempt;
  /** What this worker knows of a command that runs detached. */
  readonly memory: DetachedMemory;
  readonly secrets: AttemptSecrets;
  readonly log: AttemptLog;
  readonly signal: AbortSignal;
  /** Called for what is to be cleared on the host once the end stands in the journal. */
  readonly afterEnd: (clear: () => Promise<void>) => void;
}

/** What a step would do on a target: skip, or an action with its input and effect. */
export type Preparation =
  | { readonly kind: 'skip' }
  | { readonly kind: 'refuse'; readonly outcome: AttemptOutcome }
  /** In the run that this one takes up it ended so. */
  | { readonly kind: 'known'; readonly outcome: AttemptOutcome }
  | {
      readonly kind: 'execute';
      readonly action: TargetAction;
      readonly input: unknown;
      readonly effect: Effect;
      readonly endpoint: TargetEndpoint;
      readonly timeoutMs: number;
      readonly isDetached: boolean;
    };

/** Reason of a signal that is aborted because the lane was lost: somebody else looks after its commands. */
export const LANE_LOST = 'lane-lost';

const NOT_ASKED_DELAY_MS = 30_000;

export const MAX_TARGET_OUTPUT_BYTES = 65_536;

const failed = (state: AttemptOutcome['state'], code: string, message: string, remedy?: string): AttemptOutcome => ({
  state,
  exitCode: null,
  error: { code, message, remedy },
  output: null,
});

/** What expressions of a step on a target see. */
function stepVariables({ run, target, item, known }: AttemptSubject, asset: TargetAsset): Variables {
  const { error } = target;
  return {
    asset: { ...asset, quarantined: asset.quarantineReason !== null },
    inputs: run.inputs,
    steps: { ...known, ...target.outputs },
    run: { id: run.runId, runbook: run.runbook, space: run.space },
    item,
    ...(error === null ? {} : { error: { code: error.code, message: error.message, step: error.step ?? '' } }),
  };
}

/** Decides `if` and `with` for one target; nothing of the outside is touched. `decide`: in place of the step's own. Never throws. */
export function prepareAttempt(subject: AttemptSubject, decide?: (variables: Variables) => StepDecision): Preparation {
  const { target, step, compiled, asset } = subject;
  const refuse = (outcome: AttemptOutcome): Preparation => ({ kind: 'refuse', outcome });
  if (!asset) return refuse(failed('failed', 'asset-missing', `Asset ${target.assetName} no longer exists.`));
  const action = findAction(step.uses);
  if (!action || action.scope !== 'target') {
    return refuse(failed('failed', 'unknown-action', `This worker has no action "${step.uses}" for targets.`));
  }
  try {
    // What was begun is not decided anew, whatever has changed since.
    const decided = target.isParked ? { ...compiled, condition: null } : compiled;
    const variables = stepVariables(subject, asset);
    const decision = decide?.(variables) ?? targetStepDecision(decided, variables);
    if (decision.kind === 'skip') return { kind: 'skip' };
    if (decision.kind === 'fail')
      return refuse({ state: 'failed', exitCode: null, error: decision.error, output: null });
    const input = action.contract.input.safeParse(decision.input);
    if (!input.success) {
      const issue = input.error.issues[0]!;
      const message = `Input of step "${step.id}" on ${asset.name}: ${issue.path.join('.')}: ${issue.message}.`;
      return refuse(failed('failed', 'invalid-input', message));
    }
    if (asset.quarantineReason !== null && !target.isParked) {
      const message = `Asset ${asset.name} is quarantined: ${asset.quarantineReason}`;
      const remedy = `Look into it, then: fettle asset enrol ${asset.name}`;
      return refuse(failed('quarantined', 'asset-quarantined', message, remedy));
    }
    const effect = action.contract.effect(input.data);
    const { contract } = action;
    const wantedMs = step.timeout === undefined ? contract.defaultTimeoutMs : durationMs(step.timeout);
    const timeoutMs = Math.min(wantedMs, contract.maxTimeoutMs);
    const isDetached = contract.detached?.(input.data, timeoutMs) ?? false;
    return { kind: 'execute', action, input: input.data, effect, endpoint: endpointOf(asset), timeoutMs, isDetached };
  } catch (error) {
    return refuse({ state: 'failed', exitCode: null, error: storedError(error), output: null });
  }
}

/** An attempt that a resumed run has from the one before it; null: it is to be made, or taken up. */
export function knownAttempt({ state, exitCode, error, output }: CarriedAttempt): Preparation | null {
  return state === 'started' ? null : { kind: 'known', outcome: { state, exitCode, error, output, final: true } };
}

/** What the journal keeps of a decision beside *started*: how to judge the attempt should its worker be lost. */
export function journaledEffect(prepared: Preparation): JournaledEffect {
  return prepared.kind === 'execute' ? prepared.effect : 'none';
}

/** Where a detached command lives: who asks elsewhere, or as somebody else, would not find it and begin it a second time. */
export function placeOf(prepared: Preparation): string | null {
  if (prepared.kind !== 'execute' || !prepared.isDetached) return null;
  const { address, port, username, credential } = prepared.endpoint;
  return `${username ?? `(user of ${credential})`}@${address}:${port}`;
}

/** A command that was begun and can no longer be asked for by what is known of the asset now. */
function outOfReach({ target, started, prepared }: AttemptRequest): AttemptOutcome | null {
  if (!target.isParked) return null;
  const why =
    prepared.kind === 'refuse'
      ? (prepared.outcome.error?.message ?? 'the step is refused')
      : started.place !== placeOf(prepared)
        ? `it was begun as ${started.place}, and the endpoint is another now.`
        : null;
  if (why === null) return null;
  const message = `How the command on ${target.assetName} ended is not known: ${why}`;
  return failed('unknown', 'effect-uncertain', message, 'Look at the host, then decide by hand.');
}

/** A command that was begun, and nobody can sign in to ask for it (its credential is missing): it is waited for as for a host. */
function notAsked(request: AttemptRequest, timeoutMs: number, error: unknown): AttemptOutcome | ParkedOutcome {
  if (request.started.elapsedMs < timeoutMs + HOST_PATIENCE_MS) return { state: 'parked', delayMs: NOT_ASKED_DELAY_MS };
  const { message } = storedError(error, request.secrets.mask);
  return failed('unknown', 'effect-uncertain', message, 'Look at the host, then decide by hand.');
}

/** Executes one attempt after its *started* has been committed. Never rejects: every error becomes an outcome. */
export async function executeAttempt(
  services: WorkerServices,
  request: AttemptRequest,
): Promise<AttemptOutcome | ParkedOutcome> {
  const { prepared } = request;
  const lost = outOfReach(request);
  if (lost) return lost;
  if (prepared.kind === 'skip') return { state: 'skipped', exitCode: null, error: null, output: null };
  if (prepared.kind === 'refuse' || prepared.kind === 'known') return prepared.outcome;
  let dispatched = false;
  try {
    const asset = request.asset!;
    await request.secrets.declare(request.run.declaredSecrets);
    const context = await targetContext(services, request, asset, prepared);
    dispatched = true;
    const end = request.secrets.maskedEnd(await prepared.action.execute(prepared.input, context));
    if (end.state === 'failed') return { state: 'failed', exitCode: end.exitCode, error: end.error, output: null };
    return succeeded(request, asset, end);
  } catch (error) {
    if (error instanceof StillRunning) return { state: 'parked', delayMs: error.delayMs };
    if (request.target.isParked && !dispatched) return notAsked(request, prepared.timeoutMs, error);
    const judgement = judgeError(error, prepared.effect, dispatched, request.secrets.mask);
    if (judgement.error.code === 'internal-error') {
      services.logger.warn(
        { reason: judgement.error.message, runId: request.run.runId, step: request.step.id },
        'an attempt failed in an unexpected way',
      );
    }
    const lostOutcome: AttemptOutcome = {
      state: judgement.state,
      exitCode: null,
      error: judgement.error,
      output: null,
    };
    // A command that was cancelled, or whose lane was lost, is not looked for here: nobody waits for it.
    if (judgement.state !== 'unknown' || prepared.isDetached || request.signal.aborted) return lostOutcome;
    return (await settledByProbe(services, request, prepared)) ?? lostOutcome;
  }
}

/** What a probe says of an effect that may have happened; null: it cannot tell, or there is none. */
async function settledByProbe(
  services: WorkerServices,
  request: AttemptRequest,
  prepared: Extract<Preparation, { kind: 'execute' }>,
): Promise<AttemptOutcome | null> {
  const { run, asset, token, secrets, signal } = request;
  const subject = { asset: asset!, prepared, token, declaredSecrets: run.declaredSecrets };
  const found = await probeLost(services, subject, secrets, signal);
  if (found === null) return null;
  request.log.note(`The connection was lost; ${found.summary}.`);
  if (found.kind === 'happened') return succeeded(request, asset!, { exitCode: null, output: found.output });
  return failed('failed', 'effect-absent', `The connection was lost before anything happened: ${found.summary}.`);
}

/** The action's effect has happened, whatever becomes of its output. */
export function succeeded(
  request: AttemptSubject,
  asset: TargetAsset,
  end: { readonly exitCode: number | null; readonly output: unknown },
): AttemptOutcome {
  try {
    const output = keptOutput(request, asset, end.output);
    return { state: 'succeeded', exitCode: end.exitCode, error: null, output };
  } catch (error) {
    // Whoever takes the run up is told, as to make the step again would have its effect twice.
    const stored: StoredError = { ...storedError(error), effectDone: true };
    return { state: 'failed', exitCode: end.exitCode, error: stored, output: null, final: true };
  }
}

/** What later steps may read of this one; at most `MAX_TARGET_OUTPUT_BYTES` as JSON. */
function keptOutput(request: AttemptSubject, asset: TargetAsset, result: unknown): Readonly<Record<string, unknown>> {
  const variables = { ...stepVariables(request, asset), result } as Variables;
  const output = stepOutputs(request.step.outputs, variables);
  const sizeBytes = Buffer.byteLength(JSON.stringify(output));
  if (sizeBytes > MAX_TARGET_OUTPUT_BYTES) {
    throw new FettleError({
      code: 'output-too-large',
      message: `Step "${request.step.id}" on ${asset.name} has ${sizeBytes} bytes of output for later steps, more than ${MAX_TARGET_OUTPUT_BYTES}.`,
      remedy: 'Declare "outputs" with the part that later steps need.',
    });
  }
  return (output ?? {}) as Readonly<Record<string, unknown>>;
}

async function targetContext(
  services: WorkerServices,
  request: AttemptRequest,
  asset: TargetAsset,
  { endpoint, timeoutMs, isDetached, effect }: Extract<Preparation, { kind: 'execute' }>,
): Promise<TargetContext> {
  const { started } = request;
  return {
    ...(await targetConnection(asset, endpoint, request.secrets)),
    ssh: services.ssh,
    token: request.token,
    undo: request.undo,
    timeoutMs,
    signal: request.signal,
    output: (stream, chunk) => request.log.write(stream, chunk),
    secret: (name, kinds = ['password']) => request.secrets.value(name, kinds),
    redactor: () => request.secrets.redactions.redactor(),
    saveFacts: (gathered) => {
      const { facts, identifiers } = request.secrets.maskedFacts(gathered);
      return withDatabasePatience(() =>
        services.dataSource.transaction((transaction) =>
          saveFacts(transaction, asset.id, `run:${request.run.runId}`, facts, identifiers),
        ),
      );
    },
    patches: patchLedger(services, request.run, asset.id),
    memo: attemptMemo(services, request.run.runId, asset.id, request.token),
    ...credentialChange(services, request.run, asset, request.secrets),
    note: (text) => request.log.note(text),
    detached: isDetached || started.detached ? detachedContext(request, effect) : null,
  };
}

function detachedContext(request: AttemptRequest, effect: Effect): DetachedContext {
  const { fence, elapsedMs } = request.started;
  return {
    fence,
    elapsedMs,
    memory: request.memory,
    isRepeatable: repeatableEffects.has(effect),
    isCancelled: () => request.signal.aborted && request.signal.reason !== LANE_LOST,
    afterEnd: request.afterEnd,
  };
}
