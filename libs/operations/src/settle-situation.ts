import {
  MAX_TIME_MS,
  nextInstants,
  settleInstants,
  type CalendarGate,
  type FireVerdict,
  type Recurrence,
  type Settlement,
} from '@fettle/calendar';
import { durationMs, FettleError, type ScheduleSpec } from '@fettle/contracts';
import type { FireSource, NewFire, ScheduleRuns, StoredFire, StoredSchedule } from '@fettle/database';
import { fireEvidence, fireReason, type FireCircumstances } from './fire-reason.js';

// What is decided of a schedule, without a look at the database: the same whether it is settled alone or with others.

export interface Situation {
  readonly schedule: StoredSchedule;
  readonly recurrence: Recurrence;
  readonly runs: ScheduleRuns;
  readonly waiting: readonly StoredFire[];
  readonly now: Date;
  readonly gate: CalendarGate;
}

/** Nothing waits, and no instant came; where that cannot be reckoned, settling says so. */
export function isIdle({ schedule, recurrence, waiting, now }: Omit<Situation, 'gate' | 'runs'>): boolean {
  if (waiting.length > 0) return false;
  try {
    const [next] = nextInstants({ ...recurrence, after: schedule.watermark, count: 1 });
    return next === undefined || Date.parse(next.at) > now.getTime();
  } catch (error) {
    if (error instanceof FettleError) return false;
    throw error;
  }
}

/**
 * What becomes of a schedule's instants and of those that wait. `last`: the newest row of the ledger, where a stretch may go on.
 * @throws FettleError where its instants cannot be computed
 */
export function settleSituation(
  { schedule, recurrence, runs, waiting, now, gate }: Situation,
  last: StoredFire | null,
): Settlement {
  const spec: ScheduleSpec = schedule.document.spec;
  const { pausedAt: from, pausedUntil: to } = schedule;
  return settleInstants({
    schedule: recurrence,
    watermark: schedule.watermark,
    now,
    catchUpMs: durationMs(spec.catchUp),
    // An end that lies beyond all reckoning is none.
    paused: from === null ? [] : [{ from, to: to !== null && to.getTime() > MAX_TIME_MS ? null : to }],
    overlapRunning: runs.openRunIds.length > 0,
    freeSince: runs.lastEndedAt,
    overlap: spec.overlap,
    ...(spec.missed === undefined ? {} : { missed: spec.missed }),
    ...(spec.whenClosed === undefined ? {} : { whenClosed: spec.whenClosed }),
    gate,
    waiting: waiting.map(({ nominalAt, source, outcome, dueAt }) => {
      return { nominalAt, source, outcome: outcome === 'deferred' ? outcome : 'queued', dueAt };
    }),
    last,
  });
}

export interface DecidedFire extends FireVerdict {
  readonly nominalAt: string;
  readonly source: FireSource;
  readonly instants: number;
  readonly lastNominalAt: string;
  /** The row that waited. */
  readonly before: StoredFire | undefined;
}

/** The row of the ledger, without the run that it may start. */
export function ledgerRow(decided: DecidedFire, known: FireCircumstances): NewFire {
  const { nominalAt, source, outcome, code, dueAt, instants, lastNominalAt, before } = decided;
  return {
    ...{ nominalAt, source, outcome, code, instants, dueAt, runId: null },
    reason: reasonOf(decided),
    lastNominalAt: instants === 1 ? null : lastNominalAt,
    evidence: fireEvidence(decided, known),
    requestedBy: before?.requestedBy ?? null,
    requestKey: before?.requestKey ?? null,
  };
}

export function isStarting({ outcome }: Pick<NewFire, 'outcome'>): boolean {
  return outcome === 'fired' || outcome === 'caught-up';
}

function reasonOf(decided: DecidedFire): string {
  const { outcome, before } = decided;
  if (outcome !== 'fired' || before === undefined) return fireReason(decided);
  // It did not wait for an opening, but was due at once: by the end of a run, which its row names.
  return before.code === 'after' ? before.reason : fireReason(decided, waitedAs(before));
}

function waitedAs({ outcome }: StoredFire): 'queued' | 'deferred' {
  return outcome === 'deferred' ? 'deferred' : 'queued';
}
