import type { ExternalCommand, WaitReport } from '@fettle/activities';
import type { EngineEvent } from '@fettle/runbook';
import { condition } from '@temporalio/workflow';
import { local, remote } from './activities.js';
import { runControl } from './control-step.js';
import { dispatchSegment, segmentOf, stopDetached } from './segments.js';
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
      return dispatchSegment(run, work as OpenOf<typeof command>);
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
