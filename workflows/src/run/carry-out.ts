import type { ExternalCommand, LaneInput, WaitReport } from '@fettle/activities';
import type { EngineEvent } from '@fettle/runbook';
import { ActivityFailure, CancellationScope, CancelledFailure, condition } from '@temporalio/workflow';
import { ending, local, remote } from './activities.js';
import { runControl } from './control-step.js';
import { undoCall } from './undo-call.js';
import type { CommandOf, OpenOf, OpenWork, Settled, Work } from './work.js';

/** The first look after this without having been woken; the time doubles with each one, up to the longest. */
const FIRST_LOOK_MS = 30_000;
const LONGEST_LOOK_MS = 300_000;

/** Carries a command out to its end, which is the answer to it; rejects with a `CancelledFailure` where it was cancelled. */
export function perform(run: Work, work: OpenWork): Promise<Settled> {
  const { command } = work;
  switch (command.kind) {
    case 'dispatch-segment':
      return dispatchSegment(run, command);
    case 'run-control':
      return runControl(run, command, work);
    case 'undo-segment':
      return undoSegment(run, command);
    case 'undo-call':
      return undoCall(run, command);
    case 'wait':
      return pause(run, work as OpenOf<typeof command>);
    case 'wait-until':
      return waitUntil(run, command);
    case 'call':
    case 'ask-approval':
    case 'await-signal':
    case 'take-capacity':
      return awaitOutside(run, work as OpenOf<typeof command>);
  }
}

/** The answer to a command that was cancelled. */
export async function endCancelled(run: Work, work: OpenWork): Promise<Settled> {
  const { runId } = run;
  const { command } = work;
  const { path } = command;
  const cancelled: EngineEvent = { kind: 'ended', path, state: 'cancelled' };
  switch (command.kind) {
    case 'dispatch-segment': {
      await stopDetached(segmentOf(runId, command));
      const wave = command.wave === undefined ? {} : { wave: command.wave.number };
      return { kind: 'segment-ended', path, counts: await local.readCounts(runId), isCancelled: true, ...wave };
    }
    case 'run-control':
    case 'undo-segment':
    case 'undo-call':
      return cancelled;
    case 'wait':
      if (command.isStep === true) await endStep(runId, path, 'cancelled');
      return cancelled;
    case 'wait-until':
      await endStep(runId, path, 'cancelled');
      return cancelled;
    default:
      return endOutside(run, work as OpenOf<ExternalCommand>);
  }
}

// ---- segments ----

async function dispatchSegment(run: Work, command: CommandOf<'dispatch-segment'>): Promise<Settled> {
  const { runId, claimed } = run;
  const { path, wave, first, last, ordinal } = command;
  if (command.enters) await local.enterSegment({ runId, first, ordinal });
  const segment = segmentOf(runId, command);
  if (wave === undefined) {
    if (!(await serveLanes(run, segment, claimed.lanes))) return 'resting';
    return { kind: 'segment-ended', path, counts: await local.readCounts(runId) };
  }
  const step = { runId, path, wave: wave.number, of: wave.of, firstStep: first, lastStep: last };
  const { open, isEmpty } = await local.startWave(step);
  if (!isEmpty) {
    const laneCount = Math.min(claimed.lanes, Math.ceil(open / claimed.laneSlots));
    if (!(await serveLanes(run, { ...segment, wave: wave.number }, laneCount))) return 'resting';
    await local.endWave({ ...step, soakMs: wave.number < wave.of ? (claimed.program.rollout?.soakMs ?? 0) : 0 });
  }
  return { kind: 'segment-ended', path, counts: await local.readCounts(runId), wave: wave.number, isEmpty };
}

function segmentOf(runId: string, command: CommandOf<'dispatch-segment'>): Omit<LaneInput, 'lane'> {
  const { first: firstStep, last: lastStep, isLast, prefix, item, outputs, shielded } = command;
  return {
    ...{ runId, firstStep, lastStep, isLast },
    ...(prefix === '' ? {} : { prefix }),
    ...(Object.keys(item).length === 0 ? {} : { item }),
    ...(outputs === undefined ? {} : { outputs }),
    ...(shielded === true ? { shielded } : {}),
  };
}

/**
 * Serves a segment by lanes beside each other. Where one ends with an error (a cancel is one), the others are cancelled and waited
 * for, too: the run may go on only when nothing is in flight any more and every end stands in the journal. False: the history has
 * grown long, and the segment is not done.
 */
function serveLanes(run: Work, segment: Omit<LaneInput, 'lane'>, laneCount: number): Promise<boolean> {
  if (laneCount === 1) return serveLaneToEnd(run, { ...segment, lane: 0 });
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const errors: unknown[] = [];
    const ends = Array.from({ length: laneCount }, async (_, lane) => {
      try {
        return await serveLaneToEnd(run, { ...segment, lane });
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

/**
 * A lane comes back after about a minute, or when the next target is due later: the wait between is a timer. False: the segment
 * is not done, and the history is so long that the next execution of this workflow should go on with it. A lane with a long
 * command comes back only when that has ended; until then the others rest and add nothing to the
 * history, and that lane alone serves what falls due.
 */
async function serveLaneToEnd(run: Work, input: LaneInput): Promise<boolean> {
  for (;;) {
    const report = await remote.serveLane(input);
    if (report.done) return true;
    if (report.stopped) throw new CancelledFailure('the run is no longer running');
    if (run.isResting) return false;
    if (report.nextDueMs !== null && report.nextDueMs > 0) await duesWithin(run, report.nextDueMs);
  }
}

/** Told under this name, an asset that targets wait for has become free. */
const TARGETS_WAKE = '#targets';

/** Until the next target is due, or one that waits for its asset may have it before. */
async function duesWithin(run: Work, waitMs: number): Promise<void> {
  await condition(() => run.hasWake(TARGETS_WAKE), waitMs);
  run.takeWake(TARGETS_WAKE);
}

/**
 * Commands of a cancelled segment that run detached end before anything else of the run does; what could not be stopped has no end
 * in the journal, and is unknown when the run ends.
 */
async function stopDetached(segment: Omit<LaneInput, 'lane'>): Promise<void> {
  try {
    await ending.serveLane({ ...segment, lane: 0, isEnding: true });
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
  }
}

async function undoSegment(run: Work, command: CommandOf<'undo-segment'>): Promise<EngineEvent> {
  const { path, prefix, item, outputs, first, last, which } = command;
  const { state, error } = await remote.undoSegment({
    ...{ runId: run.runId, prefix, item, first, last, which },
    ...(outputs === undefined ? {} : { outputs }),
  });
  return {
    kind: 'ended',
    path,
    state,
    ...(error === null ? {} : { error: { code: error.code, message: error.message } }),
  };
}

// ---- time ----

async function pause(run: Work, { command, deadlineMs }: OpenOf<CommandOf<'wait'>>): Promise<Settled> {
  const { path, wave, isStep, shielded } = command;
  if (isStep === true && !(await beginStep(run, path, shielded))) return { kind: 'ended', path, state: 'cancelled' };
  if (!(await reached(run, deadlineMs ?? 0))) return 'resting';
  if (isStep === true) await endStep(run.runId, path, 'succeeded');
  return { kind: 'waited', path, ...(wave === undefined ? {} : { wave }) };
}

/** RFC 3339, section 5.6. */
const MOMENT = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

async function waitUntil(run: Work, command: CommandOf<'wait-until'>): Promise<Settled> {
  const { path, until, shielded } = command;
  if (!(await beginStep(run, path, shielded))) return { kind: 'ended', path, state: 'cancelled' };
  const moment = MOMENT.test(until) ? Date.parse(until.replace(' ', 'T').toUpperCase()) : Number.NaN;
  if (Number.isNaN(moment)) {
    const message = `"${until.slice(0, 100)}" is no moment: give RFC 3339 with an offset, such as 2026-12-24T18:00:00+01:00`;
    const error = { code: 'invalid-moment', message };
    await endStep(run.runId, path, 'failed', error);
    return { kind: 'ended', path, state: 'failed', error };
  }
  if (!(await reached(run, moment))) return 'resting';
  await endStep(run.runId, path, 'succeeded');
  return { kind: 'waited', path };
}

/** Waits for a moment; false: the history has grown long before. */
async function reached(run: Work, momentMs: number): Promise<boolean> {
  const leftMs = momentMs - Date.now();
  return leftMs <= 0 || !(await condition(() => run.isResting, leftMs));
}

/** False: the run was cancelled before. */
async function beginStep(run: Work, path: string, shielded: true | undefined): Promise<boolean> {
  const kind = await local.openStep({ runId: run.runId, path, ...(shielded === true ? { shielded } : {}) });
  if (kind === 'refused') run.noticeCancel();
  return kind !== 'refused';
}

function endStep(
  runId: string,
  path: string,
  state: 'succeeded' | 'failed' | 'cancelled',
  error: { readonly code: string; readonly message: string } | null = null,
): Promise<void> {
  return local.closeStep({ runId, path, end: { state, error } });
}

// ---- what comes from outside ----

/** Opens the wait, then looks whenever it is woken, and now and then without. */
async function awaitOutside(run: Work, { command, deadlineMs }: OpenOf<ExternalCommand>): Promise<Settled> {
  const { path } = command;
  const wait = { runId: run.runId, command };
  for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(2 * lookMs, LONGEST_LOOK_MS)) {
    run.takeWake(path);
    // It plans the whole run, which may take longer than a local activity should.
    const report = await (command.kind === 'ask-approval' ? remote.lookAtApproval(wait) : local.lookAtWait(wait));
    if (report.state !== 'open') return outsideEnded(run, path, report);
    if (command.kind === 'ask-approval') run.noticeAsked(path);
    const nextMs = report.nextMs ?? Number.POSITIVE_INFINITY;
    const leftMs = deadlineMs === null ? Number.POSITIVE_INFINITY : deadlineMs - Date.now();
    if (leftMs <= 0) return outsideEnded(run, path, await local.endWaitEarly(wait, 'timeout'));
    await condition(() => run.isResting || run.hasWake(path), Math.max(1, Math.min(lookMs, leftMs, nextMs)));
    if (run.isResting && !run.hasWake(path)) return 'resting';
  }
}

/** A called run is asked to end, and waited for. */
async function endOutside(run: Work, { command }: OpenOf<ExternalCommand>): Promise<Settled> {
  const { path } = command;
  const wait = { runId: run.runId, command, isCancelling: true };
  run.takeWake(path);
  let report = await local.endWaitEarly(wait, 'cancelled');
  while (report.state === 'open') {
    await condition(() => run.isResting || run.hasWake(path), FIRST_LOOK_MS);
    if (run.isResting && !run.hasWake(path)) return 'resting';
    run.takeWake(path);
    report = await local.lookAtWait(wait);
  }
  return endedAs(path, report);
}

function outsideEnded(run: Work, path: string, report: WaitReport): EngineEvent {
  if (report.state === 'cancelled') run.noticeCancel();
  return endedAs(path, report);
}

function endedAs(path: string, report: WaitReport): EngineEvent {
  // A wait that goes on after its own end was asked for has nothing more to tell.
  if (report.state === 'open') return { kind: 'ended', path, state: 'cancelled' };
  const { state, output, error } = report;
  return {
    ...{ kind: 'ended', path, state, output: output },
    ...(error === null ? {} : { error: { code: error.code, message: error.message } }),
  };
}
