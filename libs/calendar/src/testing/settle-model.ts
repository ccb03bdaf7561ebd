import type { ClosedPolicy, MissedPolicy, RunOverlap } from '../settle-types.js';
import type { LedgerRow } from './settle-ledger.js';

const ON_TIME_MS = 60_000;

export interface ModelHistory {
  readonly runOverlap: RunOverlap;
  readonly missed: MissedPolicy;
  readonly whenClosed: ClosedPolicy;
  readonly catchUpMs: number;
  readonly paused: readonly (readonly [fromMs: number, toMs: number])[];
  readonly closures: readonly (readonly [fromMs: number, toMs: number])[];
}

/**
 * What must be said first of an instant, by what was known at that moment: an instant that is on time, free, open and not paused must
 * fire, and nothing else may be said of it. More than one where several instants of one settling queue, or no opening is known.
 */
export function firstOutcomes(
  history: ModelHistory,
  instant: { readonly index: number; readonly decidedMs: number; readonly all: readonly number[] },
  { isRunning, isQueued }: NonNullable<LedgerRow['first']>,
): readonly string[] {
  const { runOverlap, missed, whenClosed, catchUpMs, paused, closures } = history;
  const { index, decidedMs, all } = instant;
  const atMs = all[index] ?? Number.NaN;
  const covers = (ranges: ModelHistory['paused'], ms: number): boolean =>
    ranges.some(([fromMs, toMs]) => fromMs <= ms && ms < toMs);
  if (covers(paused, atMs)) return ['skipped paused'];
  const latenessMs = decidedMs - atMs;
  if (latenessMs > catchUpMs || (missed === 'none' && latenessMs > ON_TIME_MS)) return ['missed late'];
  if (missed !== 'all') {
    // They ascend.
    for (let later = index + 1; later < all.length && (all[later] ?? 0) <= decidedMs; later += 1)
      if (!covers(paused, all[later] ?? 0)) return ['missed superseded'];
  }
  if (covers(closures, decidedMs)) {
    if (whenClosed === 'skip') return ['skipped freeze'];
    return whenClosed === 'refuse' ? ['refused freeze'] : ['deferred freeze', 'refused freeze'];
  }
  if (!isRunning || runOverlap === 'allow') return [latenessMs > ON_TIME_MS ? 'caught-up' : 'fired'];
  if (runOverlap === 'skip') return ['skipped overlap'];
  if (runOverlap === 'queue-one') return [isQueued ? 'skipped queue-full' : 'queued overlap'];
  return runOverlap === 'queue-all' ? ['queued overlap'] : ['queued overlap', 'skipped superseded'];
}

/**
 * The outcomes that a row may have, told instant by instant from what is known of it alone: pause and lateness decide by themselves;
 * what depends on runs and calendars is named by the policies that allow it. Deliberately another way than settling goes.
 */
export function modelOutcome(history: ModelHistory, row: LedgerRow): ReadonlySet<string> {
  const { runOverlap, missed, whenClosed, catchUpMs, paused, closures } = history;
  const decidedMs = row.decidedMs[0] ?? 0;
  const covers = (ranges: ModelHistory['paused'], atMs: number): boolean =>
    ranges.some(([fromMs, toMs]) => fromMs <= atMs && atMs < toMs);
  if (covers(paused, row.nominalMs)) return new Set(['skipped paused']);
  const latenessMs = decidedMs - row.nominalMs;
  // Of a stretch, the first instant is the latest one.
  if (latenessMs > catchUpMs || (missed === 'none' && latenessMs > ON_TIME_MS)) return new Set(['missed late']);
  const allowed = new Set<string>(latenessMs > ON_TIME_MS ? ['caught-up'] : ['fired']);
  if (missed !== 'all') allowed.add('missed superseded');
  const waitedMs = row.decidedMs.slice(1);
  const hasWaited = row.outcomes.some((outcome) => outcome === 'queued' || outcome === 'deferred');
  if (hasWaited) {
    if (waitedMs.length > 0) allowed.add('fired').add('missed late').add('skipped queue-full').add('skipped overlap');
    if (waitedMs.some((atMs) => covers(paused, atMs))) allowed.add('skipped paused');
    allowed.delete('missed superseded');
    allowed.add('skipped superseded');
    // While a run that outlasts the history goes on.
    allowed.add('queued overlap');
  }
  if (runOverlap === 'skip') allowed.add('skipped overlap');
  if (runOverlap === 'queue-one' || runOverlap === 'queue-all') allowed.add('skipped queue-full');
  if (runOverlap === 'queue-one' || runOverlap === 'queue-all' || runOverlap === 'cancel-other')
    allowed.add('queued overlap');
  if (runOverlap === 'cancel-other') allowed.add('skipped superseded');
  if (row.decidedMs.some((atMs) => covers(closures, atMs))) {
    allowed.add(whenClosed === 'skip' ? 'skipped freeze' : 'refused freeze');
    if (whenClosed === 'defer') allowed.add('deferred freeze').add('skipped superseded');
  }
  // A calendar that is closed at the only decision leaves none of the ways to start.
  if (row.decidedMs.length === 1 && covers(closures, decidedMs)) {
    allowed.delete('fired');
    allowed.delete('caught-up');
  }
  return allowed;
}
