import { activityInfo, Context } from '@temporalio/activity';
import {
  claimRun,
  endControlStep,
  endRun,
  NO_EPOCH,
  readCounts,
  readMemo,
  unstartedToken,
  type RunOutcome,
  type StoredError,
} from '@fettle/database';
import type { TargetCounts } from '@fettle/contracts';
import { tellFinallyLeft } from '@fettle/operations';
import type { Program, JsonObject, Memo } from '@fettle/runbook';
import { LanesHere } from './run/lanes-here.js';
import { forgetRun, loadRun, recallRun } from './run/load-run.js';
import { lookAtWait } from './run/external-waits.js';
import { flowActivities } from './run/flow.js';
import type { ExternalWait, WaitReport } from './run/wait-report.js';
import { runControlStep, type ControlStepInput, type ControlStepReport } from './run/run-control-step.js';
import type { LaneInput, LaneReport } from './run/lane-input.js';
import { LANE_SLOTS } from './run/serve-lane.js';
import { serveLane } from './run/take-lane.js';
import type { WorkerServices } from './run/services.js';
import { undoSegment, type UndoSegmentInput, type UndoSegmentReport } from './run/undo-segment.js';
import { waveActivities } from './run/waves.js';
import { settleAfterRun } from './schedule/settle.js';

export { actions } from './actions.js';
export { DELIVERY_TIMEOUT_MS } from './notify/call-notification.js';
export { deliverNotification } from './notify/deliver.js';
export { deliverScheduleNotification } from './notify/deliver-schedule.js';
export type { WorkerServices } from './run/services.js';
export type { Decision } from '@fettle/database';
export type { ExternalCommand, ExternalWait, WaitReport } from './run/wait-report.js';
export type { UndoSegmentInput, UndoSegmentReport } from './run/undo-segment.js';
export type { BegunCallUndo, UndoableCall, UndoneCall } from './run/undo-call.js';
export type { OpenedStep, WaitingStep } from './run/waiting-step.js';
export type { ControlStepInput, ControlStepReport, LaneInput, LaneReport };

/** What the workflow needs to drive a run: ids, the run level and counters. */
export interface ClaimedRun {
  readonly program: Program;
  readonly space: string;
  readonly runbook: string;
  readonly inputs: JsonObject;
  readonly counts: TargetCounts;
  readonly lanes: number;
  /** Targets that one lane works on at the same time. */
  readonly laneSlots: number;
  /** What is known from the run that this one takes up; absent: it takes up none. */
  readonly memo?: Memo | undefined;
  /** It waits for a calendar before anything of it begins; absent: it does not. */
  readonly waitsForOpening?: true | undefined;
  /** A step of another run called it; absent: nobody did. */
  readonly isCalled?: true | undefined;
}

export interface EndRunInput {
  readonly runId: string;
  readonly state: 'succeeded' | 'failed' | 'cancelled' | 'timed-out';
  readonly error: StoredError | null;
  readonly outcome: RunOutcome;
}

/**
 * Keeps the activity's heartbeat going, even while it waits for the database, and tells a cancel of the run from everything else that
 * ends an attempt: a worker that stops, or Temporal having given the attempt up after it was away. Then what is in flight may
 * end, while the process lasts.
 */
async function whileBeating<Result>(
  hooks: { readonly cancel: () => void; readonly abandon: () => void },
  work: () => Promise<Result>,
): Promise<Result> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), HEARTBEAT_INTERVAL_MS);
  const onAbort = (): void => {
    if (context.cancellationDetails?.cancelRequested === true) hooks.cancel();
    else hooks.abandon();
  };
  context.cancellationSignal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work();
  } finally {
    clearInterval(timer);
    context.cancellationSignal.removeEventListener('abort', onAbort);
  }
}

const HEARTBEAT_INTERVAL_MS = 1000;
/** Enough for the largest `maxConcurrency` that a runbook may ask for. */
const MAX_LANES = 10;

/** What tells lanes of this process apart: one that is ending may still be there when the segment goes on. */
function laneKey({ runId, lane, onlyFinally, isEnding }: LaneInput): string {
  return [runId, lane, ...(onlyFinally === true ? ['finally'] : []), ...(isEnding === true ? ['ending'] : [])].join(
    '/',
  );
}

/** Neither a cancel nor the loss of the activity ends what is done. */
const unheeding = { cancel: () => undefined, abandon: () => undefined };

/** The activities of runs, bound to the services of one worker process. */
export function runActivities(services: WorkerServices, draining: () => boolean) {
  const { dataSource } = services;
  const lanesHere = new LanesHere<LaneReport>();
  return {
    ...waveActivities(dataSource),
    ...flowActivities(dataSource),

    /** Local activity. Null: the run is over, or another execution has it. */
    async claimRun(runId: string): Promise<ClaimedRun | null> {
      const execution = activityInfo().workflowExecution!.runId;
      const { engineVersion, workerBuild } = services;
      const counts = await claimRun(dataSource.manager, runId, execution, engineVersion, workerBuild);
      if (counts === null) return null;
      const run = await loadRun(services, runId);
      const memo = run.isResumed ? ((await readMemo(dataSource.manager, runId)) as Memo) : undefined;
      return {
        ...(memo === undefined ? {} : { memo: { ends: memo.ends, chosen: memo.chosen } }),
        ...(run.waitsForOpening ? { waitsForOpening: true as const } : {}),
        ...(run.isCalled ? { isCalled: true } : {}),
        program: run.program,
        space: run.space,
        runbook: run.runbook,
        inputs: run.inputs as JsonObject,
        counts,
        lanes: Math.min(MAX_LANES, Math.ceil(Math.min(run.maxConcurrency, Math.max(1, run.targetCount)) / LANE_SLOTS)),
        laneSlots: LANE_SLOTS,
      };
    },

    /** Serves one lane of a wave for up to about a minute, or as long as it has commands in flight. */
    async serveLane(input: LaneInput): Promise<LaneReport> {
      const service = lanesHere.open(laneKey(input), async (signals) => {
        // One that Temporal has given up may live on here, with a `finally` that a cancel does not end: it is not taken away from it.
        if (input.isEnding === true) await lanesHere.end(laneKey({ ...input, isEnding: false }));
        const run = await recallRun(services, input.runId);
        return serveLane(services, run, input, {
          cancelled: signals.cancelled,
          draining: () => draining() || signals.isAbandoned,
        });
      });
      return whileBeating(service, () => service.report);
    },

    async runControlStep(input: ControlStepInput): Promise<ControlStepReport> {
      const cancelled = new AbortController();
      const hooks = { ...unheeding, cancel: () => cancelled.abort() };
      return whileBeating(hooks, () => runControlStep(services, input, cancelled.signal));
    },

    /** Undoes what a segment did on its targets. */
    async undoSegment(input: UndoSegmentInput): Promise<UndoSegmentReport> {
      return whileBeating(unheeding, async () => undoSegment(services, await recallRun(services, input.runId), input));
    },

    /** Opens an approval where it is not open yet, and tells how it stands; see `lookAtWait`. */
    async lookAtApproval(wait: ExternalWait): Promise<WaitReport> {
      return whileBeating(unheeding, () => lookAtWait(dataSource, wait));
    },

    /** Local activity: journals a control step that was decided without being executed. */
    async recordControlStep(input: {
      readonly runId: string;
      readonly path: string;
      readonly state: 'skipped' | 'failed';
      readonly error: StoredError | null;
    }): Promise<void> {
      const { runId, path: step, state, error } = input;
      const token = unstartedToken(step);
      await endControlStep(
        dataSource.manager,
        { runId, step, generation: 1, token, epoch: NO_EPOCH, effect: 'none' },
        { state, error, output: null },
      );
    },

    /** Local activity: the counters of the run, with targets between two segments counted as pending. */
    async readCounts(runId: string): Promise<TargetCounts> {
      const counts = await readCounts(dataSource.manager, runId);
      return { ...counts, pending: counts.pending + counts.running, running: 0 };
    },

    /** Local activity; ending an ended run changes nothing. */
    async endRun(input: EndRunInput): Promise<void> {
      const { scheduleId } = await dataSource.transaction(async (transaction) => {
        if (!input.outcome.isComplete) await tellFinallyLeft(transaction, input.runId);
        return endRun(transaction, input.runId, input.state, input.error, input.outcome);
      });
      forgetRun(services, input.runId);
      if (scheduleId !== null) await settleAfterRun(services, input.runId);
    },
  };
}

export type RunActivities = ReturnType<typeof runActivities>;
export { assetActivities, type AssetActivities } from './asset/enrol.js';
export { scheduleActivities, type ScheduleActivities } from './schedule/settle.js';
export { checkActivities, type CheckActivities } from './plan/check.js';
