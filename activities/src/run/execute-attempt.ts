import { FettleError, durationMs, type ActionStep, type Effect, type StepState } from '@fettle/contracts';
import {
  saveFacts,
  type ClaimedTarget,
  type JournaledEffect,
  type StoredError,
  type TargetAsset,
} from '@fettle/database';
import { stepOutputs, targetStepDecision, type CompiledStep, type JsonObject } from '@fettle/runbook';
import type { Variables } from '@fettle/expression';
import { findAction } from '../actions.js';
import { driverEndpoint, type TargetAction, type TargetContext } from '../implementation.js';
import type { AttemptLog } from './attempt-log.js';
import { withDatabasePatience } from './database-retry.js';
import { judgeError, storedError } from './judge-error.js';
import type { LoadedRun } from './load-run.js';
import type { AttemptSecrets } from './secrets.js';
import type { WorkerServices } from './services.js';

/** How one attempt of one step on one target ended. */
export interface AttemptOutcome {
  readonly state: Exclude<StepState, 'started'>;
  readonly exitCode: number | null;
  readonly error: StoredError | null;
  readonly output: Readonly<Record<string, unknown>> | null;
  /** The action succeeded and only its output could not be kept: another attempt would have its effect twice. */
  readonly final?: true;
}

/** One step on one claimed target, with what its expressions may read. */
export interface AttemptSubject {
  readonly run: LoadedRun;
  readonly target: ClaimedTarget;
  readonly step: ActionStep;
  /** What the journal calls it: its id, after the iterations and handlers that it stands in. */
  readonly path: string;
  /** What expressions read of the iterations around it. */
  readonly item: JsonObject;
  /** The same step, parsed. */
  readonly compiled: CompiledStep;
  readonly asset: TargetAsset | undefined;
}

export interface AttemptRequest extends AttemptSubject {
  readonly prepared: Preparation;
  readonly token: string;
  readonly secrets: AttemptSecrets;
  readonly log: AttemptLog;
  readonly signal: AbortSignal;
}

type Endpoint = NonNullable<TargetAsset['endpoint']> & { readonly credential: string };

/** What a step would do on a target: skip, or an action with its input and effect. */
export type Preparation =
  | { readonly kind: 'skip' }
  | { readonly kind: 'refuse'; readonly outcome: AttemptOutcome }
  | {
      readonly kind: 'execute';
      readonly action: TargetAction;
      readonly input: unknown;
      readonly effect: Effect;
      readonly endpoint: Endpoint;
    };

export const MAX_TARGET_OUTPUT_BYTES = 65_536;

const failed = (state: AttemptOutcome['state'], code: string, message: string, remedy?: string): AttemptOutcome => ({
  state,
  exitCode: null,
  error: { code, message, remedy },
  output: null,
});

/** What expressions of a step on a target see. */
function stepVariables({ run, target, item }: AttemptSubject, asset: TargetAsset): Variables {
  const { error } = target;
  return {
    asset: { ...asset, quarantined: asset.quarantineReason !== null },
    inputs: run.inputs,
    steps: target.outputs,
    run: { id: run.runId, runbook: run.runbook, space: run.space },
    item,
    ...(error === null ? {} : { error: { code: error.code, message: error.message, step: error.step ?? '' } }),
  };
}

/** Decides `if` and `with` for one target; nothing of the outside is touched. Never throws. */
export function prepareAttempt(subject: AttemptSubject): Preparation {
  const { target, step, compiled, asset } = subject;
  const refuse = (outcome: AttemptOutcome): Preparation => ({ kind: 'refuse', outcome });
  if (!asset) return refuse(failed('failed', 'asset-missing', `Asset ${target.assetName} no longer exists.`));
  const action = findAction(step.uses);
  if (!action || action.scope !== 'target') {
    return refuse(failed('failed', 'unknown-action', `This worker has no action "${step.uses}" for targets.`));
  }
  try {
    const decision = targetStepDecision(compiled, stepVariables(subject, asset));
    if (decision.kind === 'skip') return { kind: 'skip' };
    if (decision.kind === 'fail')
      return refuse({ state: 'failed', exitCode: null, error: decision.error, output: null });
    const input = action.contract.input.safeParse(decision.input);
    if (!input.success) {
      const issue = input.error.issues[0]!;
      const message = `Input of step "${step.id}" on ${asset.name}: ${issue.path.join('.')}: ${issue.message}.`;
      return refuse(failed('failed', 'invalid-input', message));
    }
    if (asset.quarantineReason !== null) {
      const message = `Asset ${asset.name} is quarantined: ${asset.quarantineReason}`;
      const remedy = `Look into it, then: fettle asset enrol ${asset.name}`;
      return refuse(failed('quarantined', 'asset-quarantined', message, remedy));
    }
    const effect = action.contract.effect(input.data);
    return { kind: 'execute', action, input: input.data, effect, endpoint: endpointOf(asset) };
  } catch (error) {
    return refuse({ state: 'failed', exitCode: null, error: storedError(error), output: null });
  }
}

/** What the journal keeps of a decision beside *started*: how to judge the attempt should its worker be lost. */
export function journaledEffect(prepared: Preparation): JournaledEffect {
  return prepared.kind === 'execute' ? prepared.effect : 'none';
}

/** Executes one attempt after its *started* has been committed. Never rejects: every error becomes an outcome. */
export async function executeAttempt(services: WorkerServices, request: AttemptRequest): Promise<AttemptOutcome> {
  const { prepared } = request;
  if (prepared.kind === 'skip') return { state: 'skipped', exitCode: null, error: null, output: null };
  if (prepared.kind === 'refuse') return prepared.outcome;
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
    const judgement = judgeError(error, prepared.effect, dispatched, request.secrets.mask);
    if (judgement.error.code === 'internal-error') {
      services.logger.warn(
        { reason: judgement.error.message, runId: request.run.runId, step: request.step.id },
        'an attempt failed in an unexpected way',
      );
    }
    return { state: judgement.state, exitCode: null, error: judgement.error, output: null };
  }
}

/** The action's effect has happened, whatever becomes of its output. */
function succeeded(
  request: AttemptRequest,
  asset: TargetAsset,
  end: { readonly exitCode: number | null; readonly output: unknown },
): AttemptOutcome {
  try {
    const output = keptOutput(request, asset, end.output);
    return { state: 'succeeded', exitCode: end.exitCode, error: null, output };
  } catch (error) {
    return { state: 'failed', exitCode: end.exitCode, error: storedError(error), output: null, final: true };
  }
}

/** What later steps may read of this one; at most `MAX_TARGET_OUTPUT_BYTES` as JSON. */
function keptOutput(request: AttemptRequest, asset: TargetAsset, result: unknown): Readonly<Record<string, unknown>> {
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

/** @throws FettleError `no-endpoint` or `no-credential` */
function endpointOf({ name, endpoint }: TargetAsset): Endpoint {
  if (!endpoint) {
    throw new FettleError({
      code: 'no-endpoint',
      message: `Asset ${name} has no SSH endpoint.`,
      remedy: `Set one with: fettle asset set ${name} --address HOST --user USER --credential NAME`,
    });
  }
  if (endpoint.credential === null) {
    throw new FettleError({
      code: 'no-credential',
      message: `The SSH endpoint of asset ${name} names no credential.`,
      remedy: `Set one with: fettle asset set ${name} --credential NAME`,
    });
  }
  return { ...endpoint, credential: endpoint.credential };
}

async function targetContext(
  services: WorkerServices,
  request: AttemptRequest,
  asset: TargetAsset,
  { action, endpoint }: Extract<Preparation, { kind: 'execute' }>,
): Promise<TargetContext> {
  const { credential, username } = await request.secrets.forSsh(endpoint.credential);
  const user = endpoint.username ?? username;
  if (user === null) {
    throw new FettleError({
      code: 'no-user',
      message: `Neither the endpoint of asset ${asset.name} nor its credential names a user.`,
      remedy: `Set one with: fettle asset set ${asset.name} --user USER`,
    });
  }
  const { contract } = action;
  const wantedMs = request.step.timeout === undefined ? contract.defaultTimeoutMs : durationMs(request.step.timeout);
  return {
    asset: { id: asset.id, name: asset.name, space: asset.space },
    endpoint: driverEndpoint(endpoint, user),
    credential,
    ssh: services.ssh,
    token: request.token,
    timeoutMs: Math.min(wantedMs, contract.maxTimeoutMs),
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
  };
}
