import type { AttemptEnd, ClaimResult, LaneClaim, LogChunk, ParkedAttempt } from '@fettle/database';
import { AttemptLog } from './attempt-log.js';
import { clearLater } from './clear-hosts.js';
import { decideNext, tellLeft } from './decide-next.js';
import { laneNeighbours } from './lane-neighbours.js';
import { executeAttempt, LANE_LOST, type AttemptOutcome, type ParkedOutcome } from './execute-attempt.js';
import type { LaneHooks, LaneInput, LaneReport } from './lane-input.js';
import type { Attempt } from './lane-turn.js';
import type { KnownRun } from './load-run.js';
import { parkedHere, type ParkedOutput } from './parked-here.js';
import { segmentWriters, type SegmentWriter } from './segment-writer.js';
import type { WorkerServices } from './services.js';

/** Targets that one lane works on at the same time. */
export const LANE_SLOTS = 100;
/** A lane with nothing in flight returns after this, so that no activity lives for ever. */
const LANE_LIFETIME_MS = 55_000;
/** A lane that never came to that claims nothing more after this: what it has in flight then ends within its activity's 25 h. */
const LANE_CLAIMS_MS = 12 * 3_600_000;
/** Waits longer than this are left to a timer of the workflow, and no timer is longer than that. */
const [LONG_WAIT_MS, MAX_REST_MS] = [2_000, 3_600_000];
/** While nothing happens, a lane looks for due targets, cancels and logs this often. */
const TICK_MS = 200;
/** A lane that claims nothing (any more) looks this often whether the run goes on. */
const GATE_INTERVAL_MS = 2_000;
/** Ends are written in groups: the first of a group waits this long for others while its lane has more in flight ... */
const GROUP_MS = 25;
/** ... or until there are so many. */
const GROUP_ENDS = 100;

/** One lane of a wave: claims due targets, works on them concurrently, and writes what became of them in groups. */
export class Lane {
  readonly #services: WorkerServices;
  readonly #run: KnownRun;
  readonly #input: LaneInput;
  readonly #hooks: LaneHooks;
  readonly #claim: LaneClaim;
  readonly #abort = new AbortController();
  /** What stands in a `finally` is not ended by a cancel, only with the lane or the run. */
  readonly #kept: AbortController;
  readonly #inFlight = new Map<string, AttemptLog>();
  readonly #writer: SegmentWriter;
  #ended: AttemptEnd[] = [];
  #endedLogs: LogChunk[] = [];
  #parked: ParkedAttempt[] = [];
  /** What ended commands left on their hosts; cleared once their ends stand in the journal. */
  #clears: (() => Promise<void>)[] = [];
  /** Commands of the run that run detached without a claim, as last seen; until it was looked, there may be some. */
  #parkedCount = 1;
  #wake: (() => void) | null = null;
  #lookOwed = false;
  #lastGateMs = 0;

  constructor(services: WorkerServices, run: KnownRun, input: LaneInput, laneEpoch: number, hooks: LaneHooks) {
    this.#services = services;
    this.#run = run;
    this.#input = input;
    this.#hooks = hooks;
    this.#claim = { runId: input.runId, lane: input.lane, laneEpoch };
    this.#writer = segmentWriters.of(services, run, input);
    this.#kept = input.onlyFinally === true ? this.#abort : new AbortController();
  }

  async serve(): Promise<LaneReport> {
    const openedAtMs = Date.now();
    const onCancel = (): void => this.#abort.abort();
    this.#hooks.cancelled.addEventListener('abort', onCancel, { once: true });
    if (this.#hooks.cancelled.aborted) onCancel();
    laneNeighbours.join(this.#input.runId, this);
    this.#writer.join();
    try {
      for (;;) {
        const claim = await this.#turn(openedAtMs);
        const report = this.#inFlight.size === 0 && this.#settledCount === 0 ? this.#reportOf(claim, openedAtMs) : null;
        if (report) {
          await this.#writer.notify(true);
          return report;
        }
        await this.#pause(claim);
      }
    } finally {
      this.#writer.leave();
      laneNeighbours.leave(this.#input.runId, this);
      this.#hooks.cancelled.removeEventListener('abort', onCancel);
      // Left by an error (a lost claim, a database gone): what is in flight must not go on unseen.
      if (this.#inFlight.size > 0) this.#abort.abort(LANE_LOST);
      if (this.#inFlight.size > 0) this.#kept.abort(LANE_LOST);
    }
  }

  /** Writes what has ended and claims what is due, in one transaction, which other lanes of the segment may share; then starts the new attempts. */
  async #turn(openedAtMs: number): Promise<ClaimResult | null> {
    const ends = this.#ended;
    const logs = this.#endedLogs;
    const parked = this.#parked;
    const clears = this.#clears;
    this.#ended = [];
    this.#endedLogs = [];
    this.#parked = [];
    this.#clears = [];
    for (const log of this.#inFlight.values()) logs.push(...log.take());
    // Also where there is no slot to fill: owed for ever, it would have the loop turn without a pause, and nothing else run beside it.
    this.#lookOwed = false;
    const wanted = this.#wantsMore(openedAtMs) ? LANE_SLOTS - this.#inFlight.size : 0;
    const looks = wanted > 0 || (this.#inFlight.size > 0 && Date.now() - this.#lastGateMs >= GATE_INTERVAL_MS);
    if (ends.length === 0 && logs.length === 0 && parked.length === 0 && !looks) return null;
    const { claim, attempts } = await this.#writer.write({
      ...{ claim: this.#claim, ends, logs, parked, wanted, looks, lastSeq: 0 },
      // A branch alone may be cancelled, and the run goes on.
      isEnding: () => this.#input.isEnding === true || this.#abort.signal.aborted,
      // Attempts that end while the turn waits stand in #ended: theirs are claims of this lane, too.
      known: () => [...this.#inFlight.keys(), ...[...this.#ended, ...this.#parked].map(({ assetId }) => assetId)],
    });
    clearLater(clears);
    if (claim) {
      this.#lastGateMs = Date.now();
      // Of a run that was cancelled only what could be claimed is to be stopped here.
      this.#parkedCount = claim.gate === 'open' ? claim.parkedCount : claim.targets.length;
    }
    // Cancelled, or ended by somebody else: nobody wants what is in flight any more.
    if (claim && claim.gate !== 'open') this.#abort.abort();
    if (claim?.gate === 'ended') this.#kept.abort();
    const moved = claim === null || claim.done || claim.targets.length > 0;
    if (ends.length > 0 && moved) laneNeighbours.wakeOthers(this.#input.runId, this);
    for (const attempt of attempts) this.#start(attempt);
    await this.#writer.notify(false);
    return claim;
  }

  #wantsMore(openedAtMs: number): boolean {
    // A run that was cancelled has its detached commands stopped.
    if (this.#abort.signal.aborted) return this.#parkedCount > 0 && this.#inFlight.size < LANE_SLOTS;
    if (this.#hooks.draining()) return false;
    const ageMs = Date.now() - openedAtMs;
    if (this.#inFlight.size === 0) return ageMs < LANE_LIFETIME_MS;
    return this.#inFlight.size < LANE_SLOTS && ageMs < LANE_CLAIMS_MS;
  }

  #start(attempt: Attempt): void {
    const { target, path } = attempt;
    const secrets = this.#writer.secrets.forAttempt();
    const identity = { assetId: target.assetId, step: path, generation: target.generation };
    const output: ParkedOutput = parkedHere.take(attempt.token, attempt.logged) ?? {
      log: new AttemptLog(identity, () => secrets.redactions, attempt.logged, this.#run.logBytes),
      memory: { consumed: { stdout: 0, stderr: 0 }, kept: undefined },
    };
    this.#inFlight.set(target.assetId, output.log);
    const clears: (() => Promise<void>)[] = [];
    const afterEnd = (clear: () => Promise<void>): void => void clears.push(clear);
    const isKept = this.#run.targetCodes[target.stepIndex]!.finallys.length > 0;
    const { signal } = isKept ? this.#kept : this.#abort;
    const request = { ...attempt, secrets, ...output, signal, afterEnd };
    void executeAttempt(this.#services, request).then((outcome) => this.#settle(attempt, output, outcome, clears));
  }

  #settle(
    { target, step, path, token, prepared }: Attempt,
    output: ParkedOutput,
    outcome: AttemptOutcome | ParkedOutcome,
    clears: readonly (() => Promise<void>)[],
  ): void {
    const { assetId, generation } = target;
    this.#inFlight.delete(assetId);
    if (outcome.state === 'parked') {
      this.#endedLogs.push(...output.log.take());
      this.#parked.push({ assetId, generation, delayMs: outcome.delayMs });
      parkedHere.keep(token, output);
    } else {
      this.#endedLogs.push(...output.log.close());
      this.#clears.push(...clears);
      const { lastStep, isLast = false, onlyFinally, prefix } = this.#input;
      const codes = this.#run.targetCodes;
      const code = codes[target.stepIndex]!;
      const decided = decideNext(target, code, outcome, { lastStep, isLast, onlyFinally });
      const next = tellLeft(decided, outcome, code, { codes, prefix });
      const isCarried = prepared.kind === 'known';
      this.#ended.push({ assetId, step: path, stepId: step.id, generation, ...outcome, next, isCarried });
    }
    // The first end of a group arms its timer; those between need no turn of the loop.
    const count = this.#settledCount;
    if (count === 1 || count >= GROUP_ENDS || this.#inFlight.size === 0) this.#wake?.();
  }

  /** Attempts that are to be written: they ended, or their command runs on. */
  get #settledCount(): number {
    return this.#ended.length + this.#parked.length;
  }

  #reportOf(claim: ClaimResult | null, openedAtMs: number): LaneReport | null {
    const stopped = { done: false, stopped: true, nextDueMs: null };
    if (this.#abort.signal.aborted) return claim?.gate === 'cancelled' && claim.targets.length > 0 ? null : stopped;
    if (claim === null) return { done: false, stopped: false, nextDueMs: null };
    if (claim.done) return { done: true, stopped: false, nextDueMs: null };
    if (claim.gate !== 'open') return stopped;
    const waitMs = claim.nextDueMs ?? 0;
    if (claim.claimedCount === 0 && waitMs > LONG_WAIT_MS)
      return { done: false, stopped: false, nextDueMs: Math.min(waitMs, MAX_REST_MS) };
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
      const endedCount = this.#settledCount;
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
}
