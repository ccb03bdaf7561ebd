import { iterateInstants, previousRawInstant } from './instants.js';
import type { Recurrence } from './recurrence.js';
import { timeMs, utcText, type Time } from './time.js';

export type FireOutcome = 'fired' | 'caught-up' | 'skipped' | 'missed';

/**
 * Why an instant has its outcome. `paused` and `overlap`: skipped. `late`: past the catch-up limit, or late where nothing is caught
 * up. `superseded`: a later instant of the same settling stands for it.
 */
export type FireReason = '' | 'paused' | 'overlap' | 'late' | 'superseded';

export interface FireDecision {
  /** UTC, e.g. `2026-03-29T01:30:00Z`. */
  readonly nominalAt: string;
  readonly outcome: FireOutcome;
  readonly reason: FireReason;
  /** Now minus nominal. */
  readonly latenessMs: number;
}

/** A stretch [from, to) in which the schedule is paused; without `to` it is paused still. */
export interface PausedRange {
  readonly from: Time;
  readonly to?: Time | null;
}

export interface SettleInput {
  readonly schedule: Recurrence;
  /** Every instant up to here (inclusive) has its outcome already. */
  readonly watermark: Time;
  readonly now: Time;
  /** How late a fire may still start. */
  readonly catchUpMs: number;
  readonly paused?: readonly PausedRange[];
  /** Whether a run of this schedule is under way. */
  readonly overlapRunning: boolean;
  /** What becomes of an instant while a run is under way. */
  readonly overlap: 'skip' | 'allow';
  /** Which of several instants inside the catch-up limit start a run. Default `last`: one run makes up for all of them. */
  readonly missed?: 'last' | 'all' | 'none';
  /** Default and at most `MAX_DECISIONS`. */
  readonly maxDecisions?: number;
}

export interface Settlement {
  /** Ascending. At most one of them is `fired` or `caught-up` unless both `overlap: allow` and `missed: all` are set. */
  readonly decisions: readonly FireDecision[];
  /** The new watermark, to be stored with the decisions. */
  readonly watermark: string;
  /** True where instants up to `now` are left: settle again from the new watermark. */
  readonly more: boolean;
}

export const MAX_DECISIONS = 1000;
/** Beyond this a fire is not on time any more but caught up. */
export const ON_TIME_MS = 60_000;

/**
 * Gives every nominal instant in (watermark, now] exactly one outcome. Pure: the caller stores decisions and watermark in one
 * transaction. The same range settled in pieces gives the same outcomes for the same `now`, but for what an earlier piece started.
 * @throws FettleError `invalid-time`, `invalid-time-zone`
 */
export function settleInstants(input: SettleInput): Settlement {
  const watermarkMs = timeMs(input.watermark);
  const nowMs = timeMs(input.now);
  // A clock that went back settles nothing: what was decided stays decided.
  if (nowMs <= watermarkMs) return { decisions: [], watermark: exactText(watermarkMs), more: false };
  const max = Math.max(1, Math.min(input.maxDecisions ?? MAX_DECISIONS, MAX_DECISIONS));
  const paused = (input.paused ?? []).map(rangeMs);
  const lastDueMs = lastDue(input, paused, watermarkMs, nowMs);
  const decisions: FireDecision[] = [];
  let isRunning = input.overlapRunning;
  let settledMs = watermarkMs;
  for (const { atMs } of iterateInstants(input.schedule, watermarkMs + 1, nowMs + 1)) {
    if (decisions.length >= max) return { decisions, watermark: exactText(settledMs), more: true };
    const latenessMs = nowMs - atMs;
    const verdict = decide(input, { atMs, latenessMs, isPaused: isWithin(paused, atMs), isRunning, lastDueMs });
    isRunning ||= verdict.outcome === 'fired' || verdict.outcome === 'caught-up';
    decisions.push({ nominalAt: utcText(atMs), ...verdict, latenessMs });
    settledMs = atMs;
  }
  return { decisions, watermark: exactText(nowMs), more: false };
}

interface Situation {
  readonly atMs: number;
  readonly latenessMs: number;
  readonly isPaused: boolean;
  readonly isRunning: boolean;
  readonly lastDueMs: number | null;
}

function decide(input: SettleInput, situation: Situation): { outcome: FireOutcome; reason: FireReason } {
  const { atMs, latenessMs, isPaused, isRunning, lastDueMs } = situation;
  const missed = input.missed ?? 'last';
  // A pause was somebody's will and explains more than lateness does.
  if (isPaused) return { outcome: 'skipped', reason: 'paused' };
  if (latenessMs > input.catchUpMs) return { outcome: 'missed', reason: 'late' };
  if (missed === 'none' && latenessMs > ON_TIME_MS) return { outcome: 'missed', reason: 'late' };
  if (missed !== 'all' && atMs !== lastDueMs) return { outcome: 'missed', reason: 'superseded' };
  if (isRunning && input.overlap === 'skip') return { outcome: 'skipped', reason: 'overlap' };
  return { outcome: latenessMs > ON_TIME_MS ? 'caught-up' : 'fired', reason: '' };
}

/** The last instant that is neither paused nor too late: found from the end, so that it is known before the first page is decided. */
function lastDue(input: SettleInput, paused: readonly RangeMs[], watermarkMs: number, nowMs: number): number | null {
  let beforeMs = nowMs + 1;
  for (let round = 0; round <= paused.length; round += 1) {
    const candidate = previousRawInstant(input.schedule, beforeMs);
    if (!candidate || candidate.atMs <= watermarkMs || nowMs - candidate.atMs > input.catchUpMs) return null;
    const range = paused.find((one) => one.fromMs <= candidate.atMs && candidate.atMs < one.toMs);
    if (!range) return candidate.atMs;
    beforeMs = range.fromMs;
  }
  return null;
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

/** A watermark keeps its milliseconds. */
function exactText(ms: number): string {
  return new Date(ms).toISOString();
}
