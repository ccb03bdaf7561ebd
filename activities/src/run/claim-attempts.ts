import {
  journalStarted,
  readLogged,
  readCarried,
  readTargetAssets,
  readTokenRuns,
  type AttemptStart,
  type CarriedAttempt,
  type ClaimedTarget,
  type ClaimRequest,
  type LockedRun,
  type StartedAttempt,
  type Transaction,
} from '@fettle/database';
import { undoOf, type JsonObject } from '@fettle/runbook';
import { actionContracts } from '../contracts.js';
import { journaledEffect, knownAttempt, placeOf, prepareAttempt } from './execute-attempt.js';
import { holdAssets } from './hold-assets.js';
import { claimOpen } from './hold-calendars.js';
import { undoContext } from './inherited-undo.js';
import type { Decided, Written } from './lane-turn.js';
import type { KnownRun } from './load-run.js';

export interface AttemptClaim {
  readonly loaded: KnownRun;
  readonly item: JsonObject;
  readonly known: JsonObject;
  readonly needsFacts: boolean;
  /** What the journal calls a step. */
  readonly pathOf: (stepIndex: number) => string;
  /** Of the run itself, or of one that it takes up. */
  readonly token: (target: Pick<ClaimedTarget, 'assetId' | 'generation'>, path: string, runId?: string) => string;
}

const nothingLogged = { stdout: 0, stderr: 0 };
/** Of an attempt that is known to have ended. */
const neverStarted: StartedAttempt = { fence: 1, elapsedMs: 0, place: null, detached: false, effect: 'none' };

/** Claims what is due, decides what each attempt will do, and journals that before anything is dispatched. */
export async function claimAttempts(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  { loaded, item, known, needsFacts, pathOf, token }: AttemptClaim,
): Promise<Written> {
  const runningOn = async (targets: readonly ClaimedTarget[]): Promise<ReadonlySet<string>> => {
    const before = await readCarriedOf(transaction, targets, { loaded, pathOf });
    return new Set([...before].flatMap(([assetId, earlier]) => (mayRunOn(earlier) ? [assetId] : [])));
  };
  const claim = await claimOpen(transaction, run, request, loaded, runningOn);
  if (claim.targets.length === 0) return { claim, attempts: [] };
  const ids = claim.targets.map((target) => target.assetId);
  const assets = await readTargetAssets(transaction, ids, { facts: needsFacts });
  const carried = await readCarriedOf(transaction, claim.targets, { loaded, pathOf });
  const decided = claim.targets.map((claimed): Decided => {
    const step = loaded.targetSteps[claimed.stepIndex]!;
    const compiled = loaded.compiledSteps[claimed.stepIndex]!;
    const path = pathOf(claimed.stepIndex);
    const earlier = carried.get(claimed.assetId);
    const isTakenUp = earlier !== undefined && mayRunOn(earlier) && !claimed.isParked;
    const target = isTakenUp ? { ...claimed, isParked: true } : claimed;
    const subject = { run: loaded, target, step, path, item, known, compiled, asset: assets.get(target.assetId) };
    const prepared = (earlier === undefined ? null : knownAttempt(earlier)) ?? prepareAttempt(subject);
    return { ...subject, prepared, token: earlier?.token ?? token(target, path), isTakenUp };
  });
  const held = await holdAssets(transaction, run, request, claim, decided);
  const starts = held.attempts.filter(({ prepared }) => prepared.kind !== 'known').map(startOf);
  const started = await journalStarted(transaction, run, starts);
  const logged = await readLogged(
    transaction,
    run.id,
    starts.filter(({ isParked }) => isParked),
  );
  // An undo asks for the same token, whether it is inherited or named by the step.
  const keeping = held.attempts.filter(({ step }) => undoOf(step, actionContracts) !== null);
  const tokenRunOf = await readTokenRuns(
    transaction,
    loaded,
    keeping.map(({ target: { assetId }, path }) => ({ assetId, path })),
  );
  const stepTokenOf = ({ target: { assetId, generation }, path, token: own }: Decided): string =>
    generation === 1 && !loaded.isResumed ? own : token({ assetId, generation: 1 }, path, tokenRunOf(assetId));
  const attempts = held.attempts.map((attempt) => ({
    ...attempt,
    undo: undoContext(loaded, attempt.step, stepTokenOf(attempt)),
    started: started.get(attempt.target.assetId) ?? neverStarted,
    logged: logged.get(attempt.target.assetId) ?? nothingLogged,
  }));
  return { claim: held.claim, attempts };
}

function mayRunOn({ detached, state }: CarriedAttempt): boolean {
  return detached === true && state === 'started';
}

/** In a resumed run: what the targets' attempts came to in the run before. */
function readCarriedOf(
  transaction: Transaction,
  targets: readonly ClaimedTarget[],
  { loaded, pathOf }: Pick<AttemptClaim, 'loaded' | 'pathOf'>,
): Promise<Map<string, CarriedAttempt>> | Map<string, CarriedAttempt> {
  if (!loaded.isResumed) return new Map();
  const first = targets.filter((target) => target.generation === 1);
  return readCarried(
    transaction,
    loaded.runId,
    first.map(({ assetId, stepIndex }) => ({ assetId, step: pathOf(stepIndex) })),
  );
}

function startOf({ target, path, token, prepared, isTakenUp }: Decided): AttemptStart {
  return {
    assetId: target.assetId,
    laneEpoch: target.laneEpoch,
    step: path,
    generation: target.generation,
    token,
    effect: journaledEffect(prepared),
    detached: prepared.kind === 'execute' && prepared.isDetached,
    place: placeOf(prepared),
    isParked: target.isParked && !isTakenUp,
  };
}
