import {
  claimTargets,
  finishAttempts,
  hasFinished,
  journalStarted,
  lockRun,
  lockRunForLane,
  notifyRun,
  openLane,
  readClaims,
  readTargetAssets,
  releaseClaims,
  saveLockedRun,
  type AttemptEnd,
  type ClaimedTarget,
  type ClaimResult,
  type LaneClaim,
  type LockedRun,
  type LogChunk,
  type Transaction,
} from '@fettle/database';
import { effectToken } from '@fettle/security';
import { quarantine } from './quarantine.js';
import { recoverOrphans } from './recover-orphans.js';
import { AttemptLog } from './attempt-log.js';
import { withDatabasePatience } from './database-retry.js';
import { decideNext } from './decide-next.js';
import type { LaneInput } from './lane-input.js';
import { holdAssets } from './hold-assets.js';
import { laneNeighbours } from './lane-neighbours.js';
import { executeAttempt, journaledEffect, prepareAttempt } from './execute-attempt.js';
import type { Attempt, Turn, Written } from './lane-turn.js';
import { mayReadFacts, type LoadedRun } from './load-run.js';
import { Secrets } from './secrets.js';
import type { WorkerServices } from './services.js';

/** Targets that one lane works on at the same time. */
export const LANE_SLOTS = 100;
/** A lane with nothing in flight returns after this, so that no activity lives for ever. */
const LANE_LIFETIME_MS = 55_000;
/** A lane that never came to that claims nothing more after this: what it has in flight then ends within its activity's 25 h. */
const LANE_CLAIMS_MS = 12 * 3_600_000;
/** A credential that was changed is opened anew after at most this. */
const SECRETS_LIFETIME_MS = 60_000;
/** Waits longer than this are left to a timer of the workflow. */
const LONG_WAIT_MS = 2_000;
/** While nothing happens, a lane looks for due targets, cancels and logs this often. */
const TICK_MS = 200;
/** A lane that claims nothing (any more) looks this often whether the run goes on. */
const GATE_INTERVAL_MS = 2_000;
/** Ends are written in groups: the first of a group waits this long for others while its lane has more in flight ... */
const GROUP_MS = 25;
/** ... or until there are so many. */
const GROUP_ENDS = 50;
/** Readers of a run are woken at most this often by one lane. */
const NOTIFY_INTERVAL_MS = 300;

export interface LaneReport {
  /** All targets of the wave have left the segment. */
  readonly done: boolean;
  /** The run is no longer running; nothing more was claimed. */
  readonly stopped: boolean;
  /** Milliseconds until the next target is due; null: look again at once. */
  readonly nextDueMs: number | null;
}

export interface LaneHooks {
  /** Aborted when the run is cancelled: commands in flight are ended on their hosts. */
  readonly cancelled: AbortSignal;
  /** True when this worker is about to stop: what is in flight ends, nothing new is claimed. */
  readonly draining: () => boolean;
}

/** One lane of a wave: claims due targets, works on them concurrently, and writes what became of them in groups. */
export class Lane {
  readonly #services: WorkerServices;
  readonly #run: LoadedRun;
  readonly #input: LaneInput;
  readonly #hooks: LaneHooks;
  readonly #claim: LaneClaim;
  #secrets: Secrets;
  #secretsSinceMs = Date.now();
  readonly #abort = new AbortController();
  readonly #inFlight = new Map<string, AttemptLog>();
  readonly #needsFacts: boolean;
  #ended: AttemptEnd[] = [];
  #endedLogs: LogChunk[] = [];
  #wake: (() => void) | null = null;
  #lookOwed = false;
  #lastGateMs = 0;
  #lastNotifyMs = 0;
  #notifyOwed = false;

  constructor(services: WorkerServices, run: LoadedRun, input: LaneInput, laneEpoch: number, hooks: LaneHooks) {
    this.#services = services;
    this.#run = run;
    this.#input = input;
    this.#hooks = hooks;
    this.#claim = { runId: input.runId, lane: input.lane, laneEpoch };
    this.#secrets = new Secrets(services, run.space);
    this.#needsFacts = mayReadFacts(run);
  }

  async serve(): Promise<LaneReport> {
    const openedAtMs = Date.now();
    const onCancel = (): void => this.#abort.abort();
    this.#hooks.cancelled.addEventListener('abort', onCancel, { once: true });
    if (this.#hooks.cancelled.aborted) onCancel();
    laneNeighbours.join(this.#input.runId, this);
    try {
      for (;;) {
        const claim = await this.#turn(openedAtMs);
        const report = this.#inFlight.size === 0 && this.#ended.length === 0 ? this.#reportOf(claim, openedAtMs) : null;
        if (report) {
          await this.#notify(true);
          return report;
        }
        await this.#pause(claim);
      }
    } finally {
      laneNeighbours.leave(this.#input.runId, this);
      this.#hooks.cancelled.removeEventListener('abort', onCancel);
      // Left by an error (a lost claim, a database gone): what is in flight must not go on unseen.
      if (this.#inFlight.size > 0) this.#abort.abort();
    }
  }

  /** Writes what has ended and claims what is due, in one transaction; then starts the new attempts. */
  async #turn(openedAtMs: number): Promise<ClaimResult | null> {
    const ends = this.#ended;
    const logs = this.#endedLogs;
    this.#ended = [];
    this.#endedLogs = [];
    for (const log of this.#inFlight.values()) logs.push(...log.take());
    const wanted = this.#wantsMore(openedAtMs) ? LANE_SLOTS - this.#inFlight.size : 0;
    const looks = wanted > 0 || (this.#inFlight.size > 0 && Date.now() - this.#lastGateMs >= GATE_INTERVAL_MS);
    if (ends.length === 0 && logs.length === 0 && !looks) return null;
    const turn: Turn = { ends, logs, wanted, looks, lastSeq: 0 };
    this.#lookOwed = false;
    const { claim, attempts } = await withDatabasePatience(
      (attempt) =>
        this.#services.dataSource.transaction(async (transaction) => {
          if (attempt > 0) await this.#repeatTurn(transaction, turn);
          return this.#write(transaction, turn);
        }),
      (error) => this.#services.logger.warn({ err: error, runId: this.#input.runId }, 'waiting for the database'),
    );
    if (claim) this.#lastGateMs = Date.now();
    // Cancelled, or ended by somebody else: nobody wants what is in flight any more.
    if (claim && claim.gate !== 'open') this.#abort.abort();
    const moved = claim === null || claim.done || claim.targets.length > 0;
    if (ends.length > 0 && moved) laneNeighbours.wakeOthers(this.#input.runId, this);
    for (const attempt of attempts) this.#start(attempt);
    if (ends.length > 0 || logs.length > 0 || attempts.length > 0) this.#notifyOwed = true;
    await this.#notify(false);
    return claim;
  }

  async #write(transaction: Transaction, turn: Turn): Promise<Written> {
    const run = await lockRunForLane(transaction, this.#claim);
    const seqBefore = run.seq;
    await finishAttempts(transaction, run, this.#claim, turn.ends, turn.logs);
    turn.lastSeq = run.seq;
    for (const end of turn.ends) {
      if (end.state === 'quarantined' && end.error?.code === 'host-key-mismatch') {
        await quarantine(transaction, this.#run, end.assetId, end.error.message);
      }
    }
    const written = turn.looks ? await this.#claimMore(transaction, run, turn.wanted) : { claim: null, attempts: [] };
    if (run.seq > seqBefore) await saveLockedRun(transaction, run);
    return written;
  }

  /** Claims what is due, decides what each attempt will do, and journals that before anything is dispatched. */
  async #claimMore(transaction: Transaction, run: LockedRun, limit: number): Promise<Written> {
    const firstStepId = this.#pathOf(this.#input.firstStep);
    const request = { wave: 1, ...this.#input, ...this.#claim, firstStepId, limit };
    const claim = await claimTargets(transaction, run, request);
    if (claim.targets.length === 0) return { claim, attempts: [] };
    const ids = claim.targets.map((target) => target.assetId);
    const assets = await readTargetAssets(transaction, ids, { facts: this.#needsFacts });
    const attempts = claim.targets.map((target): Attempt => {
      const step = this.#run.targetSteps[target.stepIndex]!;
      const compiled = this.#run.compiledSteps[target.stepIndex]!;
      const path = this.#pathOf(target.stepIndex);
      const { item = {} } = this.#input;
      const subject = { run: this.#run, target, step, path, item, compiled, asset: assets.get(target.assetId) };
      return { ...subject, prepared: prepareAttempt(subject), token: this.#token(target, path) };
    });
    const held = await holdAssets(transaction, run, request, claim, attempts);
    const starts = held.attempts.map(({ target, path, token, prepared }) => ({
      assetId: target.assetId,
      step: path,
      generation: target.generation,
      token,
      effect: journaledEffect(prepared),
    }));
    await journalStarted(transaction, run, this.#claim, starts);
    return held;
  }

  /**
   * The answer to a commit may have been lost. Where that transaction did commit, its ends and logs stand and are not written
   * again; what it claimed was never started here, so it goes back.
   */
  async #repeatTurn(transaction: Transaction, turn: Turn): Promise<void> {
    // Waits for that transaction, should the server be at it still.
    await lockRun(transaction, this.#input.runId);
    if (turn.lastSeq > 0 && (await hasFinished(transaction, this.#input.runId, turn))) {
      turn.ends = [];
      turn.logs = [];
    }
    // Attempts that end while the turn waits stand in #ended: theirs are claims of this lane, too.
    const known = new Set([...this.#inFlight.keys(), ...[...turn.ends, ...this.#ended].map((end) => end.assetId)]);
    const held = await readClaims(transaction, this.#claim);
    await releaseClaims(
      transaction,
      this.#claim,
      held.filter((assetId) => !known.has(assetId)),
    );
  }

  #wantsMore(openedAtMs: number): boolean {
    if (this.#abort.signal.aborted || this.#hooks.draining()) return false;
    const ageMs = Date.now() - openedAtMs;
    if (this.#inFlight.size === 0) return ageMs < LANE_LIFETIME_MS;
    return this.#inFlight.size < LANE_SLOTS && ageMs < LANE_CLAIMS_MS;
  }

  /** What the journal calls a step of this segment. */
  #pathOf(stepIndex: number): string {
    return `${this.#input.prefix ?? ''}${this.#run.targetCodes[stepIndex]!.path}`;
  }

  #token(target: ClaimedTarget, stepPath: string): string {
    const { assetId, generation } = target;
    const { runId } = this.#input;
    return effectToken(this.#services.tokenKey, { runId, stepPath, assetId, phase: 'do', generation });
  }

  #start(attempt: Attempt): void {
    const { target, step, path } = attempt;
    if (Date.now() - this.#secretsSinceMs > SECRETS_LIFETIME_MS) {
      this.#secrets = new Secrets(this.#services, this.#run.space);
      this.#secretsSinceMs = Date.now();
    }
    const secrets = this.#secrets.forAttempt();
    const identity = { assetId: target.assetId, step: path, generation: target.generation };
    const log = new AttemptLog(identity, () => secrets.redactions);
    this.#inFlight.set(target.assetId, log);
    const request = { ...attempt, secrets, log, signal: this.#abort.signal };
    void executeAttempt(this.#services, request).then((outcome) => {
      this.#inFlight.delete(target.assetId);
      this.#endedLogs.push(...log.close());
      this.#ended.push({
        assetId: target.assetId,
        step: path,
        stepId: step.id,
        generation: target.generation,
        ...outcome,
        next: decideNext(target, this.#run.targetCodes[target.stepIndex]!, outcome, {
          lastStep: this.#input.lastStep,
          isLast: this.#input.isLast ?? false,
        }),
      });
      // The first end of a group arms its timer; those between need no turn of the loop.
      const count = this.#ended.length;
      if (count === 1 || count >= GROUP_ENDS || this.#inFlight.size === 0) this.#wake?.();
    });
  }

  #reportOf(claim: ClaimResult | null, openedAtMs: number): LaneReport | null {
    if (this.#abort.signal.aborted) return { done: false, stopped: true, nextDueMs: null };
    if (claim === null) return { done: false, stopped: false, nextDueMs: null };
    if (claim.done) return { done: true, stopped: false, nextDueMs: null };
    if (claim.gate !== 'open') return { done: false, stopped: true, nextDueMs: null };
    const waitMs = claim.nextDueMs ?? 0;
    if (claim.claimedCount === 0 && waitMs > LONG_WAIT_MS) return { done: false, stopped: false, nextDueMs: waitMs };
    return Date.now() - openedAtMs < LANE_LIFETIME_MS ? null : { done: false, stopped: false, nextDueMs: null };
  }

  /** Another lane of this run got something new: what this one waits for may be due. */
  lookNow(): void {
    if (this.#inFlight.size > 0) return;
    this.#lookOwed = true;
    this.#wake?.();
  }

  /** Until a group of attempts has ended, a neighbour has something new, the next target is due, or the tick. */
  async #pause(claim: ClaimResult | null): Promise<void> {
    // Zero: what was due is claimed now, or no limit leaves room for it; then an end or the tick is what to wait for.
    const dueMs = claim?.nextDueMs ? claim.nextDueMs : TICK_MS;
    let untilMs = Date.now() + Math.min(TICK_MS, Math.max(dueMs, 5));
    let grouping = false;
    for (;;) {
      const endedCount = this.#ended.length;
      if (this.#lookOwed || endedCount >= GROUP_ENDS || (endedCount > 0 && this.#inFlight.size === 0)) return;
      if (endedCount > 0 && !grouping) {
        grouping = true;
        untilMs = Math.min(untilMs, Date.now() + GROUP_MS);
      }
      const waitMs = untilMs - Date.now();
      if (waitMs <= 0) return;
      await this.#wokenWithin(waitMs);
    }
  }

  async #wokenWithin(waitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  async #notify(now: boolean): Promise<void> {
    if (!this.#notifyOwed || (!now && Date.now() - this.#lastNotifyMs < NOTIFY_INTERVAL_MS)) return;
    this.#notifyOwed = false;
    this.#lastNotifyMs = Date.now();
    await withDatabasePatience(() => notifyRun(this.#services.dataSource.manager, this.#input.runId));
  }
}

/** Takes a lane (over), settles what its last holder left, and serves it. */
export async function serveLane(
  services: WorkerServices,
  run: LoadedRun,
  input: LaneInput,
  hooks: LaneHooks,
): Promise<LaneReport> {
  const opened = await services.dataSource.transaction((transaction) =>
    openLane(transaction, input.runId, input.lane, services.workerName),
  );
  const claim = { runId: input.runId, lane: input.lane, laneEpoch: opened.laneEpoch };
  await recoverOrphans(services, run, claim, opened.orphans);
  return new Lane(services, run, input, opened.laneEpoch, hooks).serve();
}
