import { alwaysOpen } from './calendar-gate.js';
import { iterateInstants, previousRawInstant } from './instants.js';
import { SettleBook } from './settle-book.js';
import {
  MAX_INSTANTS_SETTLED,
  MAX_STARTS,
  MAX_WAITING,
  ON_TIME_MS,
  type FireCode,
  type FireOutcome,
  type FireVerdict,
  type PausedRange,
  type SettleInput,
  type Settlement,
  type WaitingFire,
} from './settle-types.js';
import { timeMs, utcText } from './time.js';

/**
 * Gives every nominal instant in (watermark, now] exactly one row, and says what becomes of those that wait. Pure: the caller stores
 * decisions, ends and watermark in one transaction. The same range settled in pieces gives the same outcomes for the same `now`,
 * but for what an earlier piece started. A person's fires that wait are served with the instants' own, those of a backfill after
 * all others.
 * @throws FettleError `invalid-time`, `invalid-time-zone`
 */
export function settleInstants(input: SettleInput): Settlement {
  const watermarkMs = timeMs(input.watermark);
  const nowMs = timeMs(input.now);
  // A clock that went back settles nothing: what was decided stays decided.
  if (nowMs < watermarkMs) {
    return { decisions: [], ends: [], cancelRunning: false, watermark: exactText(watermarkMs), more: false };
  }
  const settling = new Settling(input, nowMs);
  const waiting = [...(input.waiting ?? [])].sort((a, b) => timeMs(a.nominalAt) - timeMs(b.nominalAt));
  settling.serveWaiting(waiting.filter((one) => one.source !== 'backfill'));
  const reachedMs = settling.settleNew(watermarkMs);
  if (reachedMs === null) settling.serveWaiting(waiting.filter((one) => one.source === 'backfill'));
  return {
    ...settling.book.written(),
    cancelRunning: settling.cancelRunning,
    watermark: exactText(reachedMs ?? nowMs),
    more: reachedMs !== null,
  };
}

const openVerdict = { dueAt: null, calendar: null } as const;

/** One settling: what is started or put into the queue changes what becomes of the next. */
class Settling {
  readonly book: SettleBook;
  cancelRunning = false;
  readonly #gate: ReturnType<typeof alwaysOpen>;
  readonly #paused: readonly RangeMs[];
  readonly #maxStarts: number;
  #isRunning: boolean;
  #starts = 0;
  #waitingCount: number;

  constructor(
    private readonly input: SettleInput,
    private readonly nowMs: number,
  ) {
    this.book = new SettleBook(input.waiting ?? []);
    this.#gate = (input.gate ?? alwaysOpen)(nowMs);
    this.#paused = (input.paused ?? []).map(rangeMs);
    this.#maxStarts = limitOf(input.maxStarts, MAX_STARTS);
    this.#isRunning = input.overlapRunning;
    this.#waitingCount = (input.waiting ?? []).filter((one) => one.source !== 'backfill').length;
  }

  serveWaiting(waiting: readonly WaitingFire[]): void {
    for (const fire of waiting) {
      if (this.#starts >= this.#maxStarts) return;
      if (this.book.isEnded(fire)) continue;
      const verdict = this.#verdictOnWaiting(fire);
      if (verdict === null) continue;
      this.#count(verdict.outcome);
      const isOver = verdict.outcome !== 'queued' && verdict.outcome !== 'deferred';
      if (isOver && fire.source !== 'backfill') this.#waitingCount -= 1;
      this.book.end(fire, verdict);
    }
  }

  /** Null: all up to now is settled; otherwise the last instant that is. */
  settleNew(watermarkMs: number): number | null {
    const { input, nowMs } = this;
    const max = limitOf(input.maxInstants, MAX_INSTANTS_SETTLED);
    let lastDueMs: number | null = null;
    let [settledMs, settled] = [watermarkMs, 0];
    for (const { atMs } of iterateInstants(input.schedule, watermarkMs + 1, nowMs + 1)) {
      if (settled >= max || this.#starts >= this.#maxStarts) return settledMs;
      // Searched for only where there is an instant at all: most wake-ups find none left.
      if (settled === 0) lastDueMs = this.#lastDue(watermarkMs);
      const verdict = this.#verdictOnNew(atMs, lastDueMs);
      this.#count(verdict.outcome);
      this.book.add(atMs, verdict, this.#extendable(atMs, verdict));
      settledMs = atMs;
      settled += 1;
    }
    return null;
  }

  #count(outcome: FireOutcome): void {
    if (outcome !== 'fired' && outcome !== 'caught-up') return;
    this.#isRunning = true;
    this.#starts += 1;
  }

  #verdictOnNew(atMs: number, lastDueMs: number | null): FireVerdict {
    const { input, nowMs } = this;
    const latenessMs = nowMs - atMs;
    const say = (outcome: FireOutcome, code: FireCode): FireVerdict => ({ outcome, code, latenessMs, ...openVerdict });
    const missed = input.missed ?? 'last';
    // A pause was somebody's will and explains more than lateness does.
    if (isWithin(this.#paused, atMs)) return say('skipped', 'paused');
    if (latenessMs > input.catchUpMs) return say('missed', 'late');
    if (missed === 'none' && latenessMs > ON_TIME_MS) return say('missed', 'late');
    if (missed !== 'all' && atMs !== lastDueMs) return say('missed', 'superseded');
    if (!this.#gate.isOpen) return this.#closed(latenessMs);
    if (!this.#isRunning || input.overlap === 'allow') return say(latenessMs > ON_TIME_MS ? 'caught-up' : 'fired', '');
    return { ...say('skipped', 'overlap'), ...this.#overlapping() };
  }

  /** What an instant becomes while a run is under way. */
  #overlapping(): { outcome: FireOutcome; code: FireCode } {
    const queued = this.book.waitingOwn('queued');
    switch (this.input.overlap) {
      case 'queue-one':
        if (queued.length > 0) return { outcome: 'skipped', code: 'queue-full' };
        break;
      case 'queue-all':
        break;
      case 'cancel-other':
        // The newest stands for those that wait for the same end.
        for (const fire of queued) this.#supersede(fire);
        this.cancelRunning = this.input.overlapRunning;
        break;
      default:
        return { outcome: 'skipped', code: 'overlap' };
    }
    return this.#waits() ? { outcome: 'queued', code: 'overlap' } : { outcome: 'skipped', code: 'queue-full' };
  }

  #waits(): boolean {
    if (this.#waitingCount >= MAX_WAITING) return false;
    this.#waitingCount += 1;
    return true;
  }

  #closed(latenessMs: number): FireVerdict {
    const gate = this.#gate;
    if (gate.isOpen) throw new TypeError('the calendar is open');
    const { reason: code, calendar, nextOpenMs } = gate;
    const policy = this.input.whenClosed ?? 'skip';
    if (policy === 'skip') return { outcome: 'skipped', code, latenessMs, dueAt: null, calendar };
    // What never opens again cannot be waited for.
    if (policy === 'refuse' || nextOpenMs === null)
      return { outcome: 'refused', code, latenessMs, dueAt: null, calendar };
    if ((this.input.missed ?? 'last') !== 'all') {
      for (const fire of this.book.waitingOwn('deferred')) this.#supersede(fire);
    }
    if (!this.#waits()) return { outcome: 'skipped', code: 'queue-full', latenessMs, dueAt: null, calendar };
    return { outcome: 'deferred', code, latenessMs, dueAt: openingText(nextOpenMs), calendar };
  }

  /** A later one stands for a fire that waits. */
  #supersede(fire: WaitingFire): void {
    const latenessMs = this.nowMs - timeMs(fire.nominalAt);
    this.#waitingCount -= 1;
    this.book.end(fire, { outcome: 'skipped', code: 'superseded', latenessMs, ...openVerdict });
  }

  /** Null: it waits on as it is. */
  #verdictOnWaiting(fire: WaitingFire): FireVerdict | null {
    const { input, nowMs } = this;
    const latenessMs = Math.max(0, nowMs - this.#startableMs(fire));
    const say = (outcome: FireOutcome, code: FireCode): FireVerdict => ({ outcome, code, latenessMs, ...openVerdict });
    // What a person triggers starts while the schedule is paused, too.
    if (fire.source !== 'trigger' && isWithin(this.#paused, nowMs)) return say('skipped', 'paused');
    // Its opening came and went, and nobody was there: the next one may be a month away.
    const isOver = fire.outcome === 'deferred' && fire.source !== 'backfill' && latenessMs > input.catchUpMs;
    if (isOver) return say('missed', 'late');
    if (!this.#gate.isOpen) return this.#closedWaiting(fire, latenessMs);
    if (this.#isRunning && input.overlap !== 'allow') return this.#overlappingWaiting(fire, say);
    // Lateness counts from when it could have started; a backfill is of the past by its nature.
    if (fire.source !== 'backfill' && latenessMs > input.catchUpMs) return say('missed', 'late');
    return say('fired', '');
  }

  #overlappingWaiting(
    fire: WaitingFire,
    say: (outcome: FireOutcome, code: FireCode) => FireVerdict,
  ): FireVerdict | null {
    const { overlap, overlapRunning } = this.input;
    if (fire.source === 'backfill') return fire.outcome === 'queued' ? null : say('queued', 'overlap');
    if (overlap === 'skip') return say('skipped', 'overlap');
    if (overlap === 'cancel-other') this.cancelRunning = overlapRunning;
    if (fire.outcome === 'queued') return null;
    if (overlap === 'cancel-other') for (const other of this.book.waitingOwn('queued')) this.#supersede(other);
    if (overlap === 'queue-one' && this.book.waitingOwn('queued').length > 0) return say('skipped', 'queue-full');
    return say('queued', 'overlap');
  }

  #closedWaiting(fire: WaitingFire, latenessMs: number): FireVerdict | null {
    const gate = this.#gate;
    if (gate.isOpen) throw new TypeError('the calendar is open');
    const { reason: code, calendar, nextOpenMs } = gate;
    // One that waits for an opening already goes on waiting whatever the document says by now; what a person fills in always does.
    const waits = fire.outcome === 'deferred' || fire.source === 'backfill';
    const policy = waits ? 'defer' : (this.input.whenClosed ?? 'skip');
    if (policy === 'skip') return { outcome: 'skipped', code, latenessMs, dueAt: null, calendar };
    if (policy === 'refuse' || nextOpenMs === null)
      return { outcome: 'refused', code, latenessMs, dueAt: null, calendar };
    const dueAt = openingText(nextOpenMs);
    const isSame = fire.outcome === 'deferred' && fire.dueAt !== null && timeMs(fire.dueAt) === timeMs(dueAt);
    return isSame ? null : { outcome: 'deferred', code, latenessMs: 0, dueAt, calendar };
  }

  /** From when on a fire that waits could have started. */
  #startableMs(fire: WaitingFire): number {
    if (fire.outcome === 'deferred' && fire.dueAt !== null) return timeMs(fire.dueAt);
    const { freeSince } = this.input;
    return Math.max(timeMs(fire.nominalAt), freeSince === undefined || freeSince === null ? 0 : timeMs(freeSince));
  }

  /** Pauses only: two outages are two rows. */
  #extendable(atMs: number, { code }: FireVerdict): boolean {
    const { last } = this.input;
    if (!last || code !== 'paused' || last.code !== 'paused' || last.outcome !== 'skipped') return false;
    const lastMs = timeMs(last.nominalAt);
    return this.#paused.some(({ fromMs, toMs }) => fromMs <= lastMs && lastMs < toMs && fromMs <= atMs && atMs < toMs);
  }

  /** The last instant that is neither paused nor too late: found from the end, so that it is known before the first page is decided. */
  #lastDue(watermarkMs: number): number | null {
    let beforeMs = this.nowMs + 1;
    for (let round = 0; round <= this.#paused.length; round += 1) {
      const candidate = previousRawInstant(this.input.schedule, beforeMs);
      if (!candidate || candidate.atMs <= watermarkMs || this.nowMs - candidate.atMs > this.input.catchUpMs)
        return null;
      const range = this.#paused.find((one) => one.fromMs <= candidate.atMs && candidate.atMs < one.toMs);
      if (!range) return candidate.atMs;
      beforeMs = range.fromMs;
    }
    return null;
  }
}

interface RangeMs {
  readonly fromMs: number;
  readonly toMs: number;
}

function rangeMs({ from, to }: PausedRange): RangeMs {
  return { fromMs: timeMs(from), toMs: to === undefined || to === null ? Number.POSITIVE_INFINITY : timeMs(to) };
}

function isWithin(ranges: readonly RangeMs[], atMs: number): boolean {
  return ranges.some(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
}

function limitOf(given: number | undefined, most: number): number {
  return Math.max(1, Math.min(given ?? most, most));
}

/** The first whole second at which it is open. */
function openingText(ms: number): string {
  return utcText(Math.ceil(ms / 1000) * 1000);
}

/** A watermark keeps its milliseconds. */
function exactText(ms: number): string {
  return new Date(ms).toISOString();
}
