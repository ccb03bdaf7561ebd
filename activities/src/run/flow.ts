import {
  enterSegment,
  freeCapacity,
  notifyRun,
  readTimeLeft,
  recordDecisions,
  setWaitingApproval,
  type ControlEnd,
  type Decision,
  type SegmentEntrance,
} from '@fettle/database';
import { holdForCalendar } from '@fettle/operations';
import type { DataSource } from 'typeorm';
import { capacityPath } from './capacity-wait.js';
import { endWaitEarly, lookAtWait } from './external-waits.js';
import { callUndoActivities } from './undo-call.js';
import type { ExternalWait, WaitReport } from './wait-report.js';
import { closeStep, openStep, type OpenedStep, type WaitingStep } from './waiting-step.js';

/** Local activities of the run level: idempotent work on Postgres. */
export function flowActivities(dataSource: DataSource) {
  return {
    ...callUndoActivities(dataSource),

    async enterSegment(entrance: SegmentEntrance): Promise<void> {
      await dataSource.transaction((transaction) => enterSegment(transaction, entrance));
    },

    async recordDecisions(input: {
      readonly runId: string;
      readonly mark: number;
      readonly decisions: readonly Decision[];
    }): Promise<void> {
      const { runId, mark, decisions } = input;
      await dataSource.transaction(async (transaction) => {
        await recordDecisions(transaction, runId, mark, decisions);
        await notifyRun(transaction, runId);
      });
    },

    /** A run that waits whole for a calendar: milliseconds until it opens; null: it goes on. */
    async holdForCalendar(runId: string): Promise<number | null> {
      return dataSource.transaction(async (transaction) => {
        const waitMs = await holdForCalendar(transaction, runId);
        await notifyRun(transaction, runId);
        return waitMs;
      });
    },

    /** Milliseconds until the run's time is over; while it waits for a calendar, that stands still. Not above 0: it is over. */
    async readTimeLeft(runId: string): Promise<number> {
      return readTimeLeft(dataSource.manager, runId);
    },

    async openStep(step: WaitingStep): Promise<OpenedStep['kind']> {
      return (await openStep(dataSource.manager, step)).kind;
    },

    async closeStep(step: WaitingStep & { readonly end: Pick<ControlEnd, 'state' | 'error'> }): Promise<void> {
      const { end, ...key } = step;
      await closeStep(dataSource.manager, key, { ...end, output: null });
    },

    /** Gives back what a step held; again is the same as once. */
    async freeCapacity(held: { readonly runId: string; readonly path: string }): Promise<void> {
      await dataSource.transaction((transaction) => freeCapacity(transaction, held.runId, capacityPath(held.path)));
    },

    /** Whether a run has nothing under way but questions to people. */
    async setWaitingApproval(input: { readonly runId: string; readonly isWaiting: boolean }): Promise<void> {
      await dataSource.transaction((transaction) => setWaitingApproval(transaction, input.runId, input.isWaiting));
    },

    /** Opens a wait for something outside of the run where it is not open yet, and tells how it stands. */
    lookAtWait: (wait: ExternalWait): Promise<WaitReport> => lookAtWait(dataSource, wait),

    /** Ends it, unless what it waits for has come. A called run is asked to end: then the wait goes on until it has. */
    endWaitEarly: (wait: ExternalWait, why: 'cancelled' | 'timeout'): Promise<WaitReport> =>
      endWaitEarly(dataSource, wait, why),
  };
}
