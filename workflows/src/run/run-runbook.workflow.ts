import {
  advance,
  initialState,
  retryDelayMs,
  type EngineCommand,
  type EngineEvent,
  type EngineState,
} from '@fettle/runbook';
import type { ClaimedRun, ControlStepReport, EndRunInput, RunActivities } from '@fettle/activities';
import {
  CancellationScope,
  CancelledFailure,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  rootCause,
  sleep,
} from '@temporalio/workflow';

export interface RunRunbookInput {
  readonly runId: string;
  /** Longest duration of the whole run; a timer, so that what is open is settled when it passes. */
  readonly timeoutMs: number;
}

type Command<Kind extends EngineCommand['kind']> = Extract<EngineCommand, { kind: Kind }>;

/** A lost worker is noticed this long after its last heartbeat. */
const HEARTBEAT_TIMEOUT = '8 seconds';

const lanes = proxyActivities<Pick<RunActivities, 'serveLane' | 'runControlStep'>>({
  // A command without a limit of its own may hold its lane for as long as the longest step.
  startToCloseTimeout: '25 hours',
  heartbeatTimeout: HEARTBEAT_TIMEOUT,
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

/** Short, idempotent work on Postgres; it is repeated until the database is there. */
const { claimRun, readCounts, endRun, recordControlStep } = proxyLocalActivities<
  Pick<RunActivities, 'claimRun' | 'readCounts' | 'endRun' | 'recordControlStep'>
>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '5 seconds' },
});

/** Executes one run: the pure engine decides, activities act, Postgres keeps the state of each target. */
export async function runRunbook(input: RunRunbookInput): Promise<void> {
  const claimed = await CancellationScope.nonCancellable(() => claimOrExplain(input.runId));
  if (claimed === null) return;
  const ended = 'state' in claimed ? claimed : await driveWithin(input, claimed);
  await CancellationScope.nonCancellable(() => endRun({ runId: input.runId, ...ended }));
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
async function driveWithin(input: RunRunbookInput, claimed: ClaimedRun): Promise<Ended> {
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
    return await scope.run(() => drive(input.runId, claimed));
  } catch (error) {
    const cancelled = isCancellation(error) || scope.consideredCancelled;
    // Other lanes may be at work still.
    scope.cancel();
    if (!cancelled) return brokenBy(error);
    const kind = timedOut ? 'timed-out' : 'cancel-requested';
    const last = advance(claimed.program, initialState(claimed.program), { kind });
    return endOf(last.commands);
  } finally {
    timer.cancel();
    await watch;
  }
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}

async function drive(runId: string, claimed: ClaimedRun): Promise<Ended> {
  const { program, inputs, counts, runbook, space } = claimed;
  let state: EngineState = initialState(program);
  let event: EngineEvent = { kind: 'started', inputs, targetCounts: counts, run: { id: runId, runbook, space } };
  for (;;) {
    const step = advance(program, state, event);
    state = step.state;
    let next: EngineEvent | null = null;
    for (const command of step.commands) {
      if (command.kind === 'finish') return endOf(step.commands);
      next = (await carryOut(runId, claimed, command)) ?? next;
    }
    if (next === null) throw new Error('the engine gave no command to wait for');
    event = next;
  }
}

function endOf(commands: readonly EngineCommand[]): Ended {
  const finish = commands.find((command): command is Command<'finish'> => command.kind === 'finish');
  if (!finish) throw new Error('the engine did not finish');
  return { state: finish.state, error: finish.error ?? null };
}

/** Carries out one command; an event comes back from those that the engine waits for. */
async function carryOut(runId: string, claimed: ClaimedRun, command: EngineCommand): Promise<EngineEvent | null> {
  switch (command.kind) {
    case 'dispatch-segment':
      return dispatchSegment(runId, claimed, command);
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

async function dispatchSegment(
  runId: string,
  claimed: ClaimedRun,
  command: Command<'dispatch-segment'>,
): Promise<EngineEvent> {
  const [firstStep, lastStep] = segmentRange(claimed, command);
  const numbers = Array.from({ length: claimed.lanes }, (_, lane) => lane);
  await Promise.all(numbers.map((lane) => serveLaneToEnd({ runId, lane, firstStep, lastStep })));
  return { kind: 'segment-ended', path: command.path, counts: await readCounts(runId) };
}

function segmentRange(claimed: ClaimedRun, command: Command<'dispatch-segment'>): [number, number] {
  const first = claimed.targetStepIds.indexOf(command.stepIds[0]!);
  return [first, first + command.stepIds.length - 1];
}

/** A lane comes back after about a minute, or when the next target is due later: the wait between is a timer. */
async function serveLaneToEnd(input: {
  runId: string;
  lane: number;
  firstStep: number;
  lastStep: number;
}): Promise<void> {
  for (;;) {
    const report = await lanes.serveLane(input);
    if (report.done) return;
    // The lane has seen the cancel (or the end) in Postgres before Temporal told this workflow.
    if (report.stopped) throw new CancelledFailure('the run is no longer running');
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
