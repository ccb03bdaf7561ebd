import type { ActionStep } from '@fettle/contracts';
import {
  endUndo,
  lockForUndo,
  lockRunForLane,
  openLane,
  readDoneSteps,
  readTargetAssets,
  readTokenRuns,
  repeatableEffects,
  saveLockedRun,
  saveRollback,
  startUndo,
  stopWaiting,
  type DoneStep,
  type LaneClaim,
  type StoredError,
  type TargetAsset,
  type Transaction,
  type UndoAttempt,
  type UndoEnd,
  type UndoScope,
  type UndoWhich,
} from '@fettle/database';
import {
  compileStep,
  type CompiledStep,
  retryDelayMs,
  undoOf,
  type JsonObject,
  type TargetCode,
} from '@fettle/runbook';
import { effectToken } from '@fettle/security';
import { actionContracts } from '../contracts.js';
import { AttemptLog } from './attempt-log.js';
import { withDatabasePatience } from './database-retry.js';
import {
  executeAttempt,
  journaledEffect,
  prepareAttempt,
  type AttemptSubject,
  type Preparation,
} from './execute-attempt.js';
import { decideUndo } from './inherited-undo.js';
import { mayReadFacts, type KnownRun } from './load-run.js';
import { Secrets } from './secrets.js';
import type { WorkerServices } from './services.js';

export interface UndoSegmentInput {
  readonly runId: string;
  /** Before the paths of the segment's steps in the journal. */
  readonly prefix: string;
  readonly item: JsonObject;
  /** What its steps read of steps of the run: outputs by id. */
  readonly outputs?: JsonObject;
  /** Indexes among all target steps, inclusive. */
  readonly first: number;
  readonly last: number;
  readonly which: UndoWhich;
  /** The run that called this one rolls back: whether a target of that is undone hangs on how it stands there. */
  readonly scope?: UndoScope | undefined;
}

export interface UndoSegmentReport {
  readonly state: 'succeeded' | 'failed';
  readonly error: StoredError | null;
  /** On so many something was to be undone. */
  readonly targets: number;
}

/** Number of the lane that undoes: its epoch fences off a worker that was taken for lost. */
const UNDO_LANE = 1000;
/** Targets that are undone at the same time. */
const MAX_AT_ONCE = 50;
/** An undo waits so long for a run that changes the asset meanwhile; looked at so often. */
const LOCK_PATIENCE_MS = 300_000;
const LOCK_LOOK_MS = 1000;

/**
 * Undoes on each target what a segment did there, the last step first; with a step that cannot be undone, or that nobody knows of,
 * that target's earlier ones stay as they are, also those of segments that are undone after this one. Safe to be called again after a crash: what is undone is not undone again, and what may have been undone half-way
 * is taken up only if its rollback does no harm twice.
 */
export async function undoSegment(
  services: WorkerServices,
  run: KnownRun,
  input: UndoSegmentInput,
): Promise<UndoSegmentReport> {
  const codes = run.targetCodes.slice(input.first, input.last + 1);
  const byPath = new Map(codes.map((code) => [input.prefix + code.path, code]));
  const database = services.dataSource;
  const { laneEpoch } = await database.transaction(async (transaction) => {
    // What the run has waited for on its way is not waited for any more: it would cost the locks of what is undone.
    await stopWaiting(transaction, input.runId);
    return openLane(transaction, input.runId, UNDO_LANE, services.workerName);
  });
  const claim: LaneClaim = { runId: input.runId, lane: UNDO_LANE, laneEpoch };
  const begun = await readDoneSteps(database.manager, input.runId, [...byPath.keys()], input);
  const hasUndo = new Set(codes.filter(({ step }) => undoOf(step, actionContracts) !== null).map(({ path }) => path));
  const done = begun.filter((one) => isUncertain(one) || hasUndo.has(one.path.slice(input.prefix.length)));
  const targets = byTarget(done);
  const undoing = new Undoing(services, run, input, claim, byPath);
  let incomplete = 0;
  const waiting = targets.values();
  const serve = async (): Promise<void> => {
    for (const steps of waiting) if (!(await undoing.target(steps))) incomplete += 1;
  };
  await Promise.all(Array.from({ length: Math.min(MAX_AT_ONCE, run.maxConcurrency, targets.length) }, serve));
  if (incomplete === 0) return { state: 'succeeded', error: null, targets: targets.length };
  const message = `On ${incomplete} of ${targets.length} targets not everything could be undone.`;
  const remedy = `Look at them with: fettle run show ${input.runId}`;
  return { state: 'failed', error: { code: 'rollback-incomplete', message, remedy }, targets: targets.length };
}

function byTarget(done: readonly DoneStep[]): readonly (readonly DoneStep[])[] {
  const targets = new Map<string, DoneStep[]>();
  for (const step of done) targets.set(step.assetId, [...(targets.get(step.assetId) ?? []), step]);
  return [...targets.values()];
}

/** Nobody knows whether it happened: a person decides. */
function isUncertain({ state }: DoneStep): boolean {
  return state === 'unknown' || state === 'started';
}

class Undoing {
  readonly #services: WorkerServices;
  readonly #run: KnownRun;
  readonly #input: UndoSegmentInput;
  readonly #claim: LaneClaim;
  readonly #codes: ReadonlyMap<string, TargetCode>;
  readonly #secrets: Secrets;
  readonly #needsFacts: boolean;
  /** By the path of the step, parsed once for all targets. */
  readonly #compiled = new Map<string, CompiledStep>();

  constructor(
    services: WorkerServices,
    run: KnownRun,
    input: UndoSegmentInput,
    claim: LaneClaim,
    codes: ReadonlyMap<string, TargetCode>,
  ) {
    this.#services = services;
    this.#run = run;
    this.#input = input;
    this.#claim = claim;
    this.#codes = codes;
    this.#secrets = new Secrets(services, run.space);
    this.#needsFacts = mayReadFacts(run);
  }

  /** True: everything is undone. */
  async target(steps: readonly DoneStep[]): Promise<boolean> {
    const { assetId } = steps[0]!;
    const assets = await withDatabasePatience(() =>
      readTargetAssets(this.#services.dataSource.manager, [assetId], { facts: this.#needsFacts }),
    );
    const order = (step: DoneStep): number => this.#codes.get(step.path)?.index ?? 0;
    const sorted = [...steps].sort((a, b) => order(b) - order(a));
    let left: readonly DoneStep[] = sorted;
    for (const step of sorted) {
      if (!(await this.#step(step, assets.get(assetId)))) break;
      left = left.slice(1);
    }
    const paths = left.map((step) => step.path);
    await this.#write((transaction) => saveRollback(transaction, this.#claim, assetId, paths));
    return left.length === 0;
  }

  /** Undoes one step, with its attempts; false: it is not known to be undone. */
  async #step(step: DoneStep, asset: TargetAsset | undefined): Promise<boolean> {
    const code = this.#codes.get(step.path);
    const undoing = code === undefined ? null : undoOf(code.step, actionContracts);
    if (code === undefined || undoing === null || isUncertain(step)) return false;
    const { undo } = step;
    if (undo?.state === 'succeeded' || undo?.state === 'skipped') return true;
    if (step.isRollbackIncomplete) return false;
    let generation = undo?.generation ?? 1;
    if (undo?.state === 'started' && !repeatableEffects.has(undo.effect)) {
      await this.#end(step, generation, lost(step));
      return false;
    }
    if (undo !== null && undo.state !== 'started') generation += 1;
    const { retry } = undoing;
    for (;;) {
      const end = await this.#attempt(step, code, generation, asset);
      if (end.state === 'succeeded' || end.state === 'skipped') return true;
      const delayMs = end.state === 'failed' || end.state === 'unreachable' ? retryDelayMs(retry, generation) : null;
      if (delayMs === null) return false;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      generation += 1;
    }
  }

  async #attempt(
    done: DoneStep,
    code: TargetCode,
    generation: number,
    asset: TargetAsset | undefined,
  ): Promise<UndoEnd> {
    const { assetId, path } = done;
    const { runId, item, outputs = {} } = this.#input;
    const undo = undoOf(code.step, actionContracts)!;
    // An inherited undo is decided by what the step itself was given.
    const { uses, timeout } = undo;
    const step: ActionStep = { id: code.step.id, uses, with: undo.with ?? code.step.with, timeout, onError: 'fail' };
    const target: AttemptSubject['target'] = {
      assetId,
      assetName: done.assetName,
      state: 'running',
      stepIndex: code.index,
      generation,
      outputs: done.outputs,
      failing: 0,
      error: done.error,
      isParked: false,
      ...{ lane: this.#claim.lane, laneEpoch: this.#claim.laneEpoch },
    };
    const subject: AttemptSubject = {
      run: this.#run,
      target,
      step,
      path,
      item,
      known: outputs,
      compiled: this.#compiledOf(path, step),
      asset,
    };
    const decided = prepareAttempt(subject, decideUndo(undo, code.step, subject.compiled));
    // It is waited for here, whatever it takes.
    const inPlace = decided.kind === 'execute' ? { ...decided, isDetached: false } : decided;
    const named = { stepPath: path, assetId };
    const token = effectToken(this.#services.tokenKey, { ...named, runId, phase: 'undo', generation });
    // What the step kept has the name that its first attempt gave it, maybe in a run that this one takes up.
    const tokenRunOf = await withDatabasePatience(() =>
      readTokenRuns(this.#services.dataSource.manager, this.#run, [{ assetId, path }]),
    );
    const tokenRun = tokenRunOf(assetId);
    const stepToken = effectToken(this.#services.tokenKey, { ...named, runId: tokenRun, phase: 'do', generation: 1 });
    const begun = { assetId, path, generation, token };
    const prepared = (await this.#begin(target, inPlace, begun)) ? inPlace : heldByOthers(done);
    const effect = journaledEffect(prepared);
    const secrets = this.#secrets.forAttempt();
    const identity = { assetId, step: `${path}#undo`, generation };
    const log = new AttemptLog(identity, () => secrets.redactions, undefined, this.#run.logBytes);
    // Nothing ends a rollback from outside: a cancel is what began it.
    const { signal } = new AbortController();
    const outcome = await executeAttempt(this.#services, {
      ...subject,
      prepared,
      token,
      undo: { stepToken, keeps: false, of: done.state, startedAt: done.startedAt },
      secrets,
      log,
      signal,
      started: { fence: 1, elapsedMs: 0, place: null, detached: false, effect },
      memory: { consumed: { stdout: 0, stderr: 0 }, kept: undefined },
      afterEnd: () => undefined,
    });
    if (outcome.state === 'parked') throw new Error('an undo does not run detached');
    const { state, exitCode, error } = outcome;
    await this.#end(done, generation, { state, exitCode, error }, log.close());
    return { state, exitCode, error };
  }

  /**
   * Journals *started*, and takes the lock with it, which lasts as long: at most one run at a time changes an asset, also by undoing.
   * What harms nothing needs no lock. False: another run has held it for too long; then nothing is to be dispatched.
   */
  async #begin(
    target: AttemptSubject['target'],
    prepared: Preparation,
    attempt: Omit<UndoAttempt, 'effect'>,
  ): Promise<boolean> {
    const effect = journaledEffect(prepared);
    const isHarmless = repeatableEffects.has(effect);
    const deadlineMs = Date.now() + LOCK_PATIENCE_MS;
    for (;;) {
      const isLast = Date.now() >= deadlineMs;
      const isHeld = await withDatabasePatience(() =>
        this.#services.dataSource.transaction(async (transaction) => {
          const taken = isHarmless || (await this.#lock(transaction, target));
          if (!taken && isLast) await stopWaiting(transaction, this.#claim.runId, [target.assetId]);
          if (taken || isLast)
            await startUndo(transaction, this.#claim, { ...attempt, effect: taken ? effect : 'none' });
          return taken;
        }),
      );
      if (isHeld || isLast) return isHeld;
      await new Promise((resolve) => setTimeout(resolve, LOCK_LOOK_MS));
    }
  }

  async #lock(transaction: Transaction, target: AttemptSubject['target']): Promise<boolean> {
    const { assetLock: mode, rootRunId } = this.#run;
    const run = await lockRunForLane(transaction, this.#claim);
    const taken = await lockForUndo(transaction, run, { ...this.#claim, mode, rootRunId }, target);
    await saveLockedRun(transaction, run);
    return taken;
  }

  #compiledOf(path: string, step: AttemptSubject['step']): CompiledStep {
    const compiled = this.#compiled.get(path) ?? compileStep(step, 'target');
    this.#compiled.set(path, compiled);
    return compiled;
  }

  #end(step: DoneStep, generation: number, end: UndoEnd, logs: Parameters<typeof endUndo>[4] = []): Promise<void> {
    const attempt = { assetId: step.assetId, path: step.path, generation };
    return this.#write((transaction) => endUndo(transaction, this.#claim, attempt, end, logs));
  }

  #write(work: (transaction: Parameters<typeof endUndo>[0]) => Promise<void>): Promise<void> {
    return withDatabasePatience(() => this.#services.dataSource.transaction(work));
  }
}

function heldByOthers(step: DoneStep): Preparation {
  const message = `Another run has been changing ${step.assetName} for ${LOCK_PATIENCE_MS / 60_000} minutes, so that step "${step.path}" was not undone.`;
  const error = { code: 'asset-held', message, remedy: `See which: fettle asset show ${step.assetName}` };
  return { kind: 'refuse', outcome: { state: 'failed', exitCode: null, error, output: null } };
}

function lost(step: DoneStep): UndoEnd {
  const message = `The worker was lost while step "${step.path}" was being undone on ${step.assetName}; it may or may not have happened.`;
  return { state: 'unknown', exitCode: null, error: { code: 'effect-uncertain', message } };
}
