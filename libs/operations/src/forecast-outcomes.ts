import type { CalendarGate, GateClosed } from '@fettle/calendar';
import type { ForecastDuration, ForecastFinding, ForecastRun } from '@fettle/contracts';
import type { AssetGate } from './forecast-gate.js';

/** A run with no history is reckoned to take so long. */
export const ASSUMED_MS = 600_000;
/** Fewer ended runs of a schedule than this say less than those of its runbook. */
const MIN_SAMPLES = 5;

/** Median and 90th percentile (nearest rank) of what runs took: of the schedule's own where there are enough, else of the runbook's. */
export function expectedDuration(ofSchedule: readonly number[], ofRunbook: readonly number[]): ForecastDuration {
  const isOwn = ofSchedule.length >= MIN_SAMPLES || (ofSchedule.length > 0 && ofSchedule.length >= ofRunbook.length);
  const samples = [...(isOwn ? ofSchedule : ofRunbook)].sort((left, right) => left - right);
  if (samples.length === 0) return { basis: 'none', samples: 0, medianMs: null, p90Ms: null, expectedMs: ASSUMED_MS };
  const [medianMs, p90Ms] = [rank(samples, 0.5), rank(samples, 0.9)];
  return { basis: isOwn ? 'schedule' : 'runbook', samples: samples.length, medianMs, p90Ms, expectedMs: p90Ms };
}

function rank(sorted: readonly number[], share: number): number {
  return Math.max(0, Math.round(sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0));
}

/** What decides over the coming instants of one schedule. */
export interface OutcomeRules {
  /** What happens while its run before is under way. */
  readonly overlap: string;
  /** What happens where a calendar is closed. */
  readonly whenClosed: string;
  readonly gate: CalendarGate;
  readonly duration: ForecastDuration;
  /** Until when a run of the schedule that is open now is expected to take; null: there is none. */
  readonly openUntilMs: number | null;
  /** `all`: each instant that is deferred starts; otherwise the last of those for the same opening. */
  readonly missed?: string | undefined;
  /** Fires that wait already, in the order in which they are served. */
  readonly waiting?: readonly WaitingSince[];
  /** From when on those may start. */
  readonly nowMs?: number;
}

/** A fire that the ledger has as waiting. */
export interface WaitingSince {
  readonly outcome: 'queued' | 'deferred';
  readonly source: string;
  /** Of a deferred one: its opening. */
  readonly dueMs: number | null;
}

interface Expected {
  readonly atMs: number;
  /** Null: an instant that comes. */
  readonly waits: WaitingSince | null;
}

export interface ForecastOutcome {
  readonly outcome: ForecastRun['outcome'];
  readonly startMs: number | null;
  readonly endMs: number | null;
  readonly findings: readonly ForecastFinding[];
}

/**
 * What is expected to become of each fire that waits, then of each instant (ascending): by the calendar's gate, then by the schedule's
 * rule for overlaps, where runs before take as long as their median. Without a history nobody knows, and only a run that is open now
 * counts.
 */
export function expectedOutcomes(instantsMs: readonly number[], rules: OutcomeRules): ForecastOutcome[] {
  const { waiting = [], nowMs = 0 } = rules;
  const entries: Expected[] = [
    ...waiting.map((waits) => ({ atMs: Math.max(nowMs, waits.dueMs ?? nowMs), waits })),
    ...instantsMs.map((atMs) => ({ atMs, waits: null })),
  ];
  const gated = entries.map((entry) => throughGate(entry, rules));
  let busyUntilMs = rules.openUntilMs ?? 0;
  let queuedUntilMs = 0;
  return entries.map((entry, index) => {
    const own = gated[index]!;
    // The next instant that comes: of one that waits the first of all.
    const next = Math.max(index + 1, waiting.length);
    if (isSuperseded(entry, own, { entry: entries[next], own: gated[next] }, rules)) return superseded(own);
    if (own.startMs === null) return own;
    const findings = [...own.findings];
    let { outcome, startMs } = own;
    if (startMs < busyUntilMs && rules.overlap !== 'allow') {
      const until = utcMinute(busyUntilMs);
      const isBackfill = entry.waits?.source === 'backfill';
      const rule = isBackfill ? 'queue-all' : rules.overlap;
      const isQueued = startMs < queuedUntilMs && entry.waits?.outcome !== 'queued';
      const what = overlapText(rule, isQueued);
      findings.push(plain('overlap', `the run before is expected to be under way until ${until}: ${what}`));
      if (rule === 'skip' || (rule === 'queue-one' && isQueued))
        return { outcome: 'skipped', startMs: null, endMs: null, findings };
      if (rule !== 'cancel-other') {
        outcome = 'queued';
        if (!isBackfill) queuedUntilMs = busyUntilMs;
        startMs = busyUntilMs;
      }
    }
    const endMs = startMs + rules.duration.expectedMs;
    if (rules.duration.medianMs !== null) busyUntilMs = Math.max(busyUntilMs, startMs + rules.duration.medianMs);
    findings.push(...closingFindings(startMs, endMs, rules));
    return { outcome, startMs, endMs, findings };
  });
}

/** As settling does: an instant that is deferred takes the place of those that wait for an opening by then. */
function isSuperseded(
  { waits }: Expected,
  own: ForecastOutcome,
  next: { readonly entry: Expected | undefined; readonly own: ForecastOutcome | undefined },
  rules: OutcomeRules,
): boolean {
  if (own.outcome !== 'deferred' || own.startMs === null || rules.missed === 'all') return false;
  if (waits?.source === 'backfill' || next.entry === undefined) return false;
  return next.own?.outcome === 'deferred' && next.entry.atMs < own.startMs;
}

function superseded({ findings }: ForecastOutcome): ForecastOutcome {
  const [closed = plain('closed', 'it waits for an opening')] = findings;
  const message = `${closed.message}; a later instant waits for the same opening and stands for this one`;
  return { outcome: 'skipped', startMs: null, endMs: null, findings: [{ ...closed, message }] };
}

function overlapText(overlap: string, isQueued: boolean): string {
  if (overlap === 'cancel-other') return 'it would be cancelled';
  if (overlap === 'skip') return 'this one would be skipped';
  if (overlap === 'queue-one' && isQueued) return 'one waits already, this one would be skipped';
  return 'this one would wait for its end';
}

/** Adds which assets have to wait at the start, because calendars that select them are closed then. */
export function withAssetGates(
  outcomes: readonly ForecastOutcome[],
  gates: readonly AssetGate[],
): readonly ForecastOutcome[] {
  if (gates.length === 0) return outcomes;
  return outcomes.map((outcome) => {
    const { startMs } = outcome;
    if (startMs === null) return outcome;
    const closed = gates.flatMap(({ gate, count, example }) => {
      const state = gate(startMs);
      if (state.isOpen) return [];
      const which = count === 1 ? `${example} waits` : `${count} assets, ${example} among them, wait`;
      return [{ ...plain('closed', `${which}: ${closureText(state)}`), calendar: state.calendar }];
    });
    return closed.length === 0 ? outcome : { ...outcome, findings: [...outcome.findings, ...closed] };
  });
}

function closureText({ calendar, nextOpenMs, reason }: GateClosed): string {
  const why = {
    window: `outside of the windows of the calendar ${calendar}`,
    freeze: `frozen by the calendar ${calendar}`,
    holiday: `a holiday of the calendar ${calendar}`,
  }[reason];
  return `${why}; ${nextOpenMs === null ? 'no opening is known' : `it opens at ${utcMinute(nextOpenMs)}`}`;
}

function throughGate({ atMs, waits }: Expected, { gate, whenClosed: rule }: OutcomeRules): ForecastOutcome {
  const state = gate(atMs);
  if (state.isOpen) return { outcome: waits?.outcome ?? 'starts', startMs: atMs, endMs: null, findings: [] };
  // One that waits for an opening goes on waiting whatever the schedule says.
  const whenClosed = waits?.outcome === 'deferred' ? 'defer' : rule;
  const { calendar, nextOpenMs } = state;
  const findings = [{ ...plain('closed', closureText(state)), calendar }];
  if (whenClosed === 'defer' && nextOpenMs !== null)
    return { outcome: 'deferred', startMs: nextOpenMs, endMs: null, findings };
  return { outcome: whenClosed === 'refuse' ? 'refused' : 'skipped', startMs: null, endMs: null, findings };
}

/** A window that is too short for what usually happens in it. */
function closingFindings(startMs: number, endMs: number, { gate, duration }: OutcomeRules): ForecastFinding[] {
  if (duration.basis === 'none') return [];
  const state = gate(startMs, { closes: true });
  if (!state.isOpen || state.isCut === true || state.closesAtMs === undefined || state.closesAtMs >= endMs) return [];
  return [
    plain(
      'closes',
      `nothing starts on further targets after ${utcMinute(state.closesAtMs)}, and it may take until ${utcMinute(endMs)}`,
    ),
  ];
}

/** By when it must have started and finished, after its instant; null: it need not. */
export interface Deadlines {
  readonly startMs: number | null;
  readonly finishMs: number | null;
}

/** What is expected to come later than it must; without a history nothing is known of the end. */
export function deadlineFindings(
  atMs: number,
  { startMs, endMs }: ForecastOutcome,
  must: Deadlines,
  hasHistory: boolean,
): ForecastFinding[] {
  if (must.startMs === null && must.finishMs === null) return [];
  if (startMs === null || endMs === null)
    return [plain('deadline', 'it must start or finish by a time, and does not start')];
  const found: ForecastFinding[] = [];
  if (must.startMs !== null && startMs > atMs + must.startMs)
    found.push(
      plain(
        'deadline',
        `it must have started by ${utcMinute(atMs + must.startMs)}, and is expected to at ${utcMinute(startMs)}`,
      ),
    );
  if (must.finishMs !== null && hasHistory && endMs > atMs + must.finishMs)
    found.push(
      plain(
        'deadline',
        `it must have finished by ${utcMinute(atMs + must.finishMs)}, and may take until ${utcMinute(endMs)}`,
      ),
    );
  return found;
}

export function plain(kind: ForecastFinding['kind'], message: string): ForecastFinding {
  return { kind, message, with: null, assets: null, key: null, calendar: null };
}

export function utcMinute(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
