import type { ClaimedRun } from '@fettle/activities';
import { initialState, readState } from '@fettle/runbook';
import {
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  isCancellation,
  patched,
  rootCause,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { local } from './activities.js';
import { BareScope } from './bare-scope.js';
import type { Ended } from './decisions.js';
import { RunActor, type Resume } from './run-actor.js';

export interface RunRunbookInput {
  readonly runId: string;
  /** Longest duration of the whole run; a timer, so that what is open is settled when it passes. */
  readonly timeoutMs: number;
  /** Set by the run itself where its history has grown long: what the next execution goes on with. */
  readonly resume?: Resume;
}

/** Something that the step of that path waits for may have come. */
const wake = defineSignal<[string]>('wake');

/**
 * Executes one run: the pure engine decides, activities act, Postgres keeps the state of each target. A cancel is an event for the
 * engine like any other: it ends what is open, goes through `finally`, and only then is the run over.
 */
export function runRunbook(input: RunRunbookInput): Promise<void> {
  const root = CancellationScope.current();
  return new BareScope({ cancellable: false }).run(() => execute(input, root));
}

async function execute(input: RunRunbookInput, root: CancellationScope): Promise<void> {
  const startedAtMs = Date.now();
  const woken = new Set<string>();
  setHandler(wake, (path) => void woken.add(path));
  const begun = input.resume === undefined ? await claimOrExplain(input.runId) : takenOver(input.resume);
  if (begun === null) return;
  if (!('error' in begun) && begun.claimed.waitsForOpening === true && input.resume === undefined) {
    await untilOpen(input.runId, root, woken);
  }
  const ended = 'error' in begun ? begun : await drive(input, begun, { root, woken });
  if ('open' in ended) {
    const timeoutMs = Math.max(1, input.timeoutMs - (Date.now() - startedAtMs));
    return continueAsNew<typeof runRunbook>({ runId: input.runId, timeoutMs, resume: ended });
  }
  await local.endRun({ runId: input.runId, ...ended });
}

/** A run that no worker can execute (its stored runbook does not fit) ends with the reason. */
async function claimOrExplain(runId: string): Promise<Resume | Ended | null> {
  try {
    const claimed = await local.claimRun(runId);
    // Refuses a program of another release.
    return claimed === null ? null : beginning(claimed);
  } catch (error) {
    return brokenBy(error);
  }
}

/** An error here fails the task, not the run: a worker that knows the format goes on with it. */
function takenOver(resume: Resume): Resume {
  return { ...resume, state: readState(resume.state) };
}

function beginning(claimed: ClaimedRun): Resume {
  const { memo, ...rest } = claimed;
  return { claimed: rest, state: initialState(claimed.program, memo), open: [], mark: 0 };
}

function brokenBy(error: unknown): Ended {
  const cause = rootCause(error) ?? 'the cause is not known';
  const message = `The run could not go on: ${cause}`.slice(0, 2000);
  return {
    state: 'failed',
    error: { code: 'run-broken', message },
    outcome: { isComplete: false, outputs: null, summary: null },
  };
}

/** Drives the run until the engine finishes it, or its history has grown long. */
async function drive(
  input: RunRunbookInput,
  begun: Resume,
  { root, woken }: { readonly root: CancellationScope; readonly woken: Set<string> },
): Promise<Ended | Resume> {
  const actor = new RunActor(input.runId, begun, woken);
  void root.cancelRequested.catch(() => actor.noticeCancel());
  const timer = new BareScope({ cancellable: true });
  const watch = timer.run(() => untilTimeout(input)).then(() => actor.tell({ kind: 'timed-out' }), ignoreCancellation);
  try {
    return await actor.drive();
  } catch (error) {
    await actor.abandon();
    return brokenBy(error);
  } finally {
    timer.cancel();
    await watch;
  }
}

/** By which path a run is woken that waits whole for a calendar: somebody has changed one. */
const CALENDAR_PATH = '#calendar';
/** It looks again after so long, woken or not. */
const LONGEST_HOLD_MS = 6 * 3_600_000;

/** Waits until the calendars of the run open, or it is cancelled. */
async function untilOpen(runId: string, root: CancellationScope, woken: Set<string>): Promise<void> {
  let isCancelled = root.consideredCancelled;
  void root.cancelRequested.catch(() => {
    isCancelled = true;
  });
  for (;;) {
    const waitMs = await local.holdForCalendar(runId);
    if (waitMs === null || isCancelled) return;
    await condition(() => isCancelled || woken.delete(CALENDAR_PATH), Math.min(waitMs, LONGEST_HOLD_MS));
  }
}

/** A run that waits for a calendar gets that time back: its row knows how much of its time is left. */
async function untilTimeout({ runId, timeoutMs }: RunRunbookInput): Promise<void> {
  for (let leftMs = timeoutMs; leftMs > 0; leftMs = patched('time-left') ? await local.readTimeLeft(runId) : 0)
    await sleep(leftMs);
}

function ignoreCancellation(error: unknown): void {
  if (!isCancellation(error)) throw error;
}
