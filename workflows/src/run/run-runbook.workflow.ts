import {
  advance,
  initialState,
  retryDelayMs,
  type EngineCommand,
  type EngineEvent,
  type EngineState,
} from '@fettle/runbook';
import type { ClaimedRun, ControlStepReport, EndRunInput, LaneInput, RunActivities } from '@fettle/activities';
import {
  ActivityFailure,
  CancellationScope,
  CancelledFailure,
  continueAsNew,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  rootCause,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';

export interface RunRunbookInput {
  readonly runId: string;
  /** Longest duration of the whole run; a timer, so that what is open is settled when it passes. */
  readonly timeoutMs: number;
  /** Set by the run itself where its history has grown long: what the next execution goes on with. */
  readonly resume?: Resume;
}

type Command<Kind extends EngineCommand['kind']> = Extract<EngineCommand, { kind: Kind }>;

/** A run between two executions of its workflow: the engine waits for a segment that is not done yet. */
interface Resume {
  readonly claimed: ClaimedRun;
  readonly state: EngineState;
  readonly segment: Command<'dispatch-segment'>;
}

/** A lost worker is noticed this long after its last heartbeat. */
const HEARTBEAT_TIMEOUT = '8 seconds';

const lanes = proxyActivities<Pick<RunActivities, 'serveLane' | 'runControlStep'>>({
  // A command without a limit of its own may hold its lane for as long as the longest step.
  startToCloseTimeout: '25 hours',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

/** Stops what runs detached, before a run ends that did not come to its end: bounded, since a host may not answer. */
const endings = proxyActivities<Pick<RunActivities, 'serveLane'>>({
  scheduleToCloseTimeout: '15 minutes',
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

/** Short, idempotent work on Postgres; it is repeated until the database is there. */
const { claimRun, readCounts, endRun, recordControlStep, startWave, endWave } = proxyLocalActivities<
  Pick<RunActivities, 'claimRun' | 'readCounts' | 'endRun' | 'recordControlStep' | 'startWave' | 'endWave'>
>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});

/** Executes one run: the pure engine decides, activities act, Postgres keeps the state of each target. */
export async function runRunbook(input: RunRunbookInput): Promise<void> {
  const startedAtMs = Date.now();
  const begun = input.resume ?? (await CancellationScope.nonCancellable(() => claimOrExplain(input.runId)));
  if (begun === null) return;
  const ended = 'error' in begun ? begun : await driveWithin(input, begun);
  if ('segment' in ended) {
    const timeoutMs = Math.max(1, input.timeoutMs - (Date.now() - startedAtMs));
    return continueAsNew<typeof runRunbook>({ runId: input.runId, timeoutMs, resume: ended });
  }
  await CancellationScope.nonCancellable(async () => {
    const claimed = 'segment' in begun ? begun.claimed : begun;
    if ('targetStepIds' in claimed && claimed.targetStepIds.length > 0) await stopDetached(input.runId, ended);
    await endRun({ runId: input.runId, ...ended });
  });
}

/** Commands that run detached end with a run that was cancelled, timed out or broke; what cannot be stopped is then unknown. */
async function stopDetached(runId: string, { state, error }: Ended): Promise<void> {
  if (state !== 'cancelled' && state !== 'timed-out' && error?.code !== 'run-broken') return;
  try {
    await endings.serveLane({ runId, lane: 0, firstStep: 0, lastStep: 0, isEnding: true });
  } catch (failure) {
    if (!(failure instanceof ActivityFailure)) throw failure;
  }
}

type Ended = Omit<EndRunInput, 'runId'>;

/** A run that no worker can execute (its stored runbook does not fit) ends with the reason. */
async function claimOrExplain(runId: string): Promise<ClaimedRun | Ended | null> {
  try {
    return await claimRun(runId);
  } catch (error) {
    return brokenBy(error);
  }
}

function brokenBy(error: unknown): Ended {
  const cause = rootCause(error) ?? 'the cause is not known';
  return {
    state: 'failed',
    error: { code: 'run-broken', message: `The run could not go on: ${cause}`.slice(0, 2000) },
  };
}

/** Drives the run until the engine finishes it, the timer passes, or somebody cancels it. */
async function driveWithin(input: RunRunbookInput, begun: ClaimedRun | Resume): Promise<Ended | Resume> {
  const scope = new CancellationScope({ cancellable: true });
  let timedOut = false;
  const timer = new CancellationScope({ cancellable: true });
  const watch = timer
    .run(async () => {
      await sleep(input.timeoutMs);
      timedOut = true;
      scope.cancel();
    })
    .catch(ignoreCancellation);
  try {
    return await scope.run(() => drive(input.runId, begun));
  } catch (error) {
    const cancelled = isCancellation(error) || scope.consideredCancelled;
    if (!cancelled) return brokenBy(error);
    const kind = timedOut ? 'timed-out' : 'cancel-requested';
    const { program } = 'segment' in begun ? begun.claimed : begun;
    const last = advance(program, initialState(program), { kind });
    return endOf(last.commands);
  } finally {
    timer.cancel();
    await watch;
  }
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}

async function drive(runId: string, begun: ClaimedRun | Resume): Promise<Ended | Resume> {
  const claimed = 'segment' in begun ? begun.claimed : begun;
  const { program, inputs, counts, runbook, space } = claimed;
  // Refuses a program of a later release, also one that another execution began.
  let state = initialState(program);
  let event: EngineEvent | null;
  if ('segment' in begun) {
    state = begun.state;
    event = await dispatchSegment(runId, claimed, begun.segment);
    if (event === null) return begun;
  } else {
    event = { kind: 'started', inputs, targetCounts: counts, run: { id: runId, runbook, space } };
  }
  for (;;) {
    const step = advance(program, state, event);
    state = step.state;
    event = null;
    for (const command of step.commands) {
      if (command.kind === 'finish') return endOf(step.commands);
      event = await carryOut(runId, claimed, command);
      if (event === null && command.kind === 'dispatch-segment') return { claimed, state, segment: command };
    }
    if (event === null) throw new Error('the engine gave no command to wait for');
  }
}

function endOf(commands: readonly EngineCommand[]): Ended {
  const finish = commands.find((command): command is Command<'finish'> => command.kind === 'finish');
  if (!finish) throw new Error('the engine did not finish');
  return { state: finish.state, error: finish.error ?? null };
}

/** Carries out one command; an event comes back from those that the engine waits for, unless a segment is not done yet. */
async function carryOut(runId: string, claimed: ClaimedRun, command: EngineCommand): Promise<EngineEvent | null> {
  switch (command.kind) {
    case 'dispatch-segment':
      return dispatchSegment(runId, claimed, command);
    case 'wait':
      await sleep(command.durationMs);
      return { kind: 'waited', path: command.path, wave: command.wave };
    case 'run-control':
      return runControl(runId, claimed, command);
    case 'skip-control':
      await recordControlStep({ runId, stepId: command.stepId, state: 'skipped', error: null });
      return null;
    case 'fail-control':
      await recordControlStep({ runId, stepId: command.stepId, state: 'failed', error: command.error });
      return null;
    case 'finish':
      return null;
  }
}

/** Null: the history has grown long, and the segment is not done. */
async function dispatchSegment(
  runId: string,
  claimed: ClaimedRun,
  command: Command<'dispatch-segment'>,
): Promise<EngineEvent | null> {
  const { path, wave } = command;
  const [firstStep, lastStep] = segmentRange(claimed, command);
  if (wave === undefined) {
    if (!(await serveLanes({ runId, firstStep, lastStep }, claimed.lanes))) return null;
    return { kind: 'segment-ended', path, counts: await readCounts(runId) };
  }
  const step = { runId, path, wave: wave.number, of: wave.of, firstStep, lastStep };
  const { open, isEmpty } = await startWave(step);
  if (!isEmpty) {
    const laneCount = Math.min(claimed.lanes, Math.ceil(open / claimed.laneSlots));
    if (!(await serveLanes({ runId, firstStep, lastStep, wave: wave.number }, laneCount))) return null;
    await endWave({ ...step, soakMs: wave.number < wave.of ? (claimed.program.rollout?.soakMs ?? 0) : 0 });
  }
  return { kind: 'segment-ended', path, counts: await readCounts(runId), wave: wave.number, isEmpty };
}

/**
 * Serves a segment by lanes beside each other. Where one ends with an error (a cancel is one), the others are cancelled and waited
 * for, too: the run may end only when nothing is in flight any more and every end stands in the journal. False: the history has
 * grown long, and the segment is not done.
 */
function serveLanes(segment: Omit<LaneInput, 'lane'>, laneCount: number): Promise<boolean> {
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const errors: unknown[] = [];
    const ends = Array.from({ length: laneCount }, async (_, lane) => {
      try {
        return await serveLaneToEnd({ ...segment, lane });
      } catch (error) {
        errors.push(error);
        scope.cancel();
        return false;
      }
    });
    const done = await Promise.all(ends);
    // The first one says why: those after it were cancelled because of it.
    if (errors.length > 0) throw errors[0];
    return !done.includes(false);
  });
}

function segmentRange(claimed: ClaimedRun, command: Command<'dispatch-segment'>): [number, number] {
  const first = claimed.targetStepIds.indexOf(command.stepIds[0]!);
  return [first, first + command.stepIds.length - 1];
}

/**
 * A lane comes back after about a minute, or when the next target is due later: the wait between is a timer. False: the segment
 * is not done, and the history is so long that the next execution of this workflow should go on with it. A lane with a long
 * command comes back only when that has ended; until then the others rest and add nothing to the
 * history, and that lane alone serves what falls due.
 */
async function serveLaneToEnd(input: LaneInput): Promise<boolean> {
  for (;;) {
    const report = await lanes.serveLane(input);
    if (report.done) return true;
    // The lane has seen the cancel (or the end) in Postgres before Temporal told this workflow.
    if (report.stopped) throw new CancelledFailure('the run is no longer running');
    if (workflowInfo().continueAsNewSuggested) return false;
    if (report.nextDueMs !== null && report.nextDueMs > 0) await sleep(report.nextDueMs);
  }
}

async function runControl(runId: string, claimed: ClaimedRun, command: Command<'run-control'>): Promise<EngineEvent> {
  const { stepId, uses, input, outputs, timeoutMs, retry } = command;
  for (let attempt = 1; ; attempt += 1) {
    const report = await lanes.runControlStep({
      runId,
      space: claimed.space,
      stepId,
      uses,
      input,
      outputs,
      timeoutMs,
      attempt,
    });
    const delayMs = report.state === 'failed' ? retryDelayMs(retry, attempt) : null;
    if (delayMs === null) return controlEnded(stepId, report);
    await sleep(delayMs);
  }
}

function controlEnded(stepId: string, report: ControlStepReport): EngineEvent {
  return {
    kind: 'control-ended',
    stepId,
    state: report.state,
    output: report.output,
    ...(report.error === null ? {} : { error: { code: report.error.code, message: report.error.message } }),
  };
}
