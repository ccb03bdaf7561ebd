import type { LaneInput } from '@fettle/activities';
import { ActivityFailure, CancellationScope, CancelledFailure, condition, sleep } from '@temporalio/workflow';
import { ending, local, remote } from './activities.js';
import type { CommandOf, OpenOf, OpenWork, Settled, Work } from './work.js';

/** Carries a segment out, or a wave of it, to its end. */
export async function dispatchSegment(run: Work, work: OpenOf<CommandOf<'dispatch-segment'>>): Promise<Settled> {
  const { command } = work;
  if (command.onlyFinally !== undefined) return onlyFinally(run, work);
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

/**
 * Has the targets that a cancel stopped in the middle of a `try` go through its `finally`, in every lane that may have lost its worker
 * while it was cancelled. After their time they are ended where they are, and what is left is said.
 */
async function onlyFinally(
  run: Work,
  { command, deadlineMs }: OpenOf<CommandOf<'dispatch-segment'>>,
): Promise<Settled> {
  const { runId, claimed } = run;
  const { path, wave } = command;
  const segment = segmentOf(runId, command);
  const served = await within((deadlineMs ?? 0) - Date.now(), () => serveLanes(run, segment, claimed.lanes));
  if (served === false) return 'resting';
  if (served === 'late') await stopDetached(segment);
  const counts = await local.readCounts(runId);
  return { kind: 'segment-ended', path, counts, ...(wave === undefined ? {} : { wave: wave.number }) };
}

/** `late`: it took longer, was cancelled then, and has ended. */
async function within<Result>(limitMs: number, work: () => Promise<Result>): Promise<Result | 'late'> {
  const scope = new CancellationScope({ cancellable: true });
  const timer = new CancellationScope({ cancellable: true });
  let isLate = false;
  const watch = timer
    .run(() => sleep(Math.max(1, limitMs)))
    .then(
      () => {
        isLate = true;
        scope.cancel();
      },
      () => undefined,
    );
  try {
    return await scope.run(work);
  } catch (error) {
    if (!isLate) throw error;
    return 'late';
  } finally {
    timer.cancel();
    await watch;
  }
}

/** What lanes are told of a segment. */
export function segmentOf(runId: string, command: CommandOf<'dispatch-segment'>): Omit<LaneInput, 'lane'> {
  const {
    first: firstStep,
    last: lastStep,
    isLast,
    prefix,
    item,
    outputs,
    shielded,
    wave,
    onlyFinally: inFinally,
  } = command;
  return {
    ...{ runId, firstStep, lastStep, isLast },
    ...(prefix === '' ? {} : { prefix }),
    ...(Object.keys(item).length === 0 ? {} : { item }),
    ...(outputs === undefined ? {} : { outputs }),
    ...(shielded === true ? { shielded } : {}),
    ...(inFinally === undefined ? {} : { onlyFinally: true, wave: wave?.number ?? 1 }),
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
export async function stopDetached(segment: Omit<LaneInput, 'lane'>): Promise<void> {
  try {
    await ending.serveLane({ ...segment, lane: 0, isEnding: true });
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
  }
}

/** A lane that loses its worker while it is being cancelled is not served again: what it held is settled by whoever ends the segment. */
export function isLaneOver({ command, isCancelling }: OpenWork, error: unknown): boolean {
  return isCancelling && command.kind === 'dispatch-segment' && error instanceof ActivityFailure;
}
