import { randomInt } from 'node:crypto';
import type { Effect } from '@fettle/contracts';
import {
  endControlStep,
  NIL_ASSET_ID,
  repeatableEffects,
  startControlStep,
  type ControlAttempt,
  type ControlEnd,
  type StoredError,
} from '@fettle/database';
import {
  conditionHolds,
  MAX_CONTROL_OUTPUT_BYTES,
  stepOutputs,
  type JsonObject,
  type JsonValue,
} from '@fettle/runbook';
import { effectToken } from '@fettle/security';
import { findAction } from '../actions.js';
import { assetCounter } from '../asset/count.js';
import type { ActionEnd, ControlAction } from '../implementation.js';
import { testedSets } from '../patch/ledger.js';
import { withDatabasePatience } from './database-retry.js';
import { declaredSecretsOf } from './declared-secrets.js';
import { judgeError, storedError } from './judge-error.js';
import { Secrets } from './secrets.js';
import type { WorkerServices } from './services.js';

export interface ControlStepInput {
  readonly runId: string;
  readonly space: string;
  /** Path of the step. */
  readonly path: string;
  readonly uses: string;
  readonly input: JsonObject;
  readonly outputs: Readonly<Record<string, string>> | null;
  readonly timeoutMs: number;
  /** Generation, from 1. */
  readonly attempt: number;
  /** CEL over `result`: the report says whether it holds. */
  readonly condition?: string | undefined;
  /** Of a `finally`: a cancel of the run does not stop it. */
  readonly shielded?: boolean | undefined;
  /** The path then has `#undo` at its end, which the journal's has not. */
  readonly phase?: 'undo' | undefined;
  /** The run has ended, and what it did is undone by the one that called it. */
  readonly afterEnd?: boolean | undefined;
}

/** What the workflow learns of a control step: its state, and the small output that it declares. */
export interface ControlStepReport {
  readonly state: 'succeeded' | 'failed' | 'cancelled' | 'unknown';
  readonly output: JsonValue;
  readonly error: StoredError | null;
  readonly holds?: boolean | undefined;
}

/** Executes one attempt of a control step with its *started* and its end in the journal; safe to be called again after a crash. */
export async function runControlStep(
  services: WorkerServices,
  request: ControlStepInput,
  signal: AbortSignal,
): Promise<ControlStepReport> {
  const { runId, phase } = request;
  const path = journalPath(request);
  const token = tokenOf(services, request, request.attempt);
  const prepared = prepare(request);
  const attempt: ControlAttempt = {
    runId,
    step: path,
    generation: request.attempt,
    token,
    epoch: randomInt(1, 2 ** 31),
    effect: prepared.kind === 'refuse' ? 'none' : prepared.effect,
    shielded: request.shielded,
    afterEnd: request.afterEnd,
    phase,
  };
  const database = services.dataSource.manager;
  const started = await withDatabasePatience(() => startControlStep(database, attempt));
  if (started.kind === 'ended') return reportOf(started.end);
  if (started.kind === 'refused') return { state: 'cancelled', output: null, error: null };
  let end: ControlEnd;
  if (started.kind === 'interrupted' && !repeatableEffects.has(started.effect)) {
    const message = `The worker was lost while step "${path}" was in flight; it may or may not have happened.`;
    end = { state: 'unknown', error: { code: 'effect-uncertain', message }, output: null };
  } else if (started.kind === 'interrupted' && !started.isOpen) {
    end = { state: 'cancelled', error: null, output: null };
  } else {
    end = prepared.kind === 'refuse' ? prepared.end : await execute(services, request, prepared, started, signal);
  }
  await withDatabasePatience(() => endControlStep(database, attempt, end));
  return reportOf(end);
}

function journalPath({ path, phase }: ControlStepInput): string {
  return phase === 'undo' ? path.replace(/#undo$/, '') : path;
}

function tokenOf(services: WorkerServices, request: ControlStepInput, generation: number): string {
  const { runId, phase = 'do' } = request;
  const identity = { runId, stepPath: journalPath(request), assetId: NIL_ASSET_ID, phase, generation } as const;
  return effectToken(services.tokenKey, identity);
}

type Prepared =
  | { readonly kind: 'refuse'; readonly end: ControlEnd }
  | { readonly kind: 'execute'; readonly action: ControlAction; readonly input: unknown; readonly effect: Effect };

function prepare(request: ControlStepInput): Prepared {
  const action = findAction(request.uses);
  if (!action || action.scope !== 'control') {
    const message = `This worker has no action "${request.uses}" for the run itself.`;
    return { kind: 'refuse', end: { state: 'failed', error: { code: 'unknown-action', message }, output: null } };
  }
  const parsed = action.contract.input.safeParse(request.input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const message = `Input of step "${request.path}": ${issue.path.join('.')}: ${issue.message}.`;
    return { kind: 'refuse', end: { state: 'failed', error: { code: 'invalid-input', message }, output: null } };
  }
  return { kind: 'execute', action, input: parsed.data, effect: action.contract.effect(parsed.data) };
}

async function execute(
  services: WorkerServices,
  request: ControlStepInput,
  prepared: Extract<Prepared, { kind: 'execute' }>,
  { token, tokenRunId }: { readonly token: string; readonly tokenRunId: string },
  signal: AbortSignal,
): Promise<ControlEnd> {
  const secrets = new Secrets(services, request.space).forAttempt();
  let ended: ActionEnd<unknown>;
  try {
    await secrets.declare(await declaredSecretsOf(services, request.runId));
    ended = secrets.maskedEnd(
      await prepared.action.execute(prepared.input, {
        token,
        stepToken: tokenOf(services, { ...request, runId: tokenRunId }, 1),
        timeoutMs: Math.min(request.timeoutMs, prepared.action.contract.maxTimeoutMs),
        signal,
        secret: (name, kinds = ['token']) => secrets.value(name, kinds),
        redactor: () => secrets.redactions.redactor(),
        testedSets: testedSets(services, request.space),
        countAssets: assetCounter(services, request.runId),
      }),
    );
  } catch (error) {
    const judged = judgeError(error, prepared.effect, true, secrets.mask);
    const state = judged.state === 'unreachable' || judged.state === 'quarantined' ? 'failed' : judged.state;
    return { state, error: judged.error, output: null };
  }
  if (ended.state === 'failed') return { state: 'failed', error: ended.error, output: null };
  return keepOutput(request, prepared.effect, ended.output);
}

/** The action's effect has happened; only its output can still fail the step, which is not tried again then, unless that does no harm. */
function keepOutput(request: ControlStepInput, effect: Effect, result: unknown): ControlEnd {
  const lost = (error: StoredError): StoredError =>
    repeatableEffects.has(effect) ? error : { ...error, effectDone: true };
  try {
    const holds = request.condition === undefined ? {} : { holds: conditionHolds(request.condition, { result }) };
    // A look that did not find what is waited for leaves nothing.
    if (holds.holds === false) return { state: 'succeeded', error: null, output: null, ...holds };
    const output = stepOutputs(request.outputs, { result });
    const sizeBytes = Buffer.byteLength(JSON.stringify(output));
    if (sizeBytes <= MAX_CONTROL_OUTPUT_BYTES) return { state: 'succeeded', error: null, output, ...holds };
    const message = `Step "${request.path}" has ${sizeBytes} bytes of output, more than ${MAX_CONTROL_OUTPUT_BYTES}; declare "outputs".`;
    return { state: 'failed', error: lost({ code: 'output-too-large', message }), output: null };
  } catch (error) {
    return { state: 'failed', error: lost(storedError(error)), output: null };
  }
}

function reportOf(end: ControlEnd): ControlStepReport {
  const state =
    end.state === 'succeeded' || end.state === 'cancelled' || end.state === 'unknown' ? end.state : 'failed';
  const holds = end.holds === undefined ? {} : { holds: end.holds };
  return { state, output: (end.output ?? null) as JsonValue, error: end.error, ...holds };
}
