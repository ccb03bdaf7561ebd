import {
  appendEntries,
  endWait,
  lockRun,
  notifyRun,
  openSignalWait,
  saveLockedRun,
  takeSignal,
  type ControlEnd,
  type Transaction,
} from '@fettle/database';
import type { JsonValue, WorkCommand } from '@fettle/runbook';
import { payloadProblem } from '@fettle/operations';
import { endWith, waitReport, type ExternalWait, type WaitKind, type WaitReport } from './wait-report.js';
import { closeStep, openStep } from './waiting-step.js';

type SignalCommand = Extract<WorkCommand, { kind: 'await-signal' }>;

/** A step that waits for a signal from outside; one that came before, and that no other step took, will do. */
export const signalWait: WaitKind<SignalCommand> = {
  async look(transaction, { runId, command }) {
    // Two steps that wait for the same signal take turns.
    await lockRun(transaction, runId);
    const step = { runId, path: command.path, shielded: command.shielded };
    const opened = await openStep(transaction, step);
    if (opened.kind === 'ended') return waitReport(opened.end);
    if (opened.kind === 'refused') return { state: 'cancelled', output: null, error: null };
    await openSignalWait(transaction, step, command.signal);
    return (await take(transaction, { runId, command })) ?? { state: 'open' };
  },

  async end(transaction, { runId, command }, why) {
    await lockRun(transaction, runId);
    const taken = await take(transaction, { runId, command });
    if (taken !== null) return taken;
    const late = `No signal "${command.signal}" came within ${command.timeoutMs / 1000} s.`;
    const end: ControlEnd =
      why === 'timeout'
        ? { state: 'failed', error: { code: 'signal-timeout', message: late }, output: null }
        : { state: 'cancelled', error: null, output: null };
    return close(transaction, { runId, command }, end);
  },
};

/** Null: none has come. */
async function take(
  transaction: Transaction,
  { runId, command }: ExternalWait<SignalCommand>,
): Promise<WaitReport | null> {
  const signal = await takeSignal(transaction, { runId, path: command.path });
  if (signal === null) return null;
  const run = await lockRun(transaction, runId);
  await appendEntries(transaction, run, [
    { kind: 'signal-taken', step: command.path, data: { signal: signal.name, signalId: signal.id, by: signal.sentBy } },
  ]);
  await saveLockedRun(transaction, run);
  // It was checked when it was sent, perhaps for another step that waits for the same name.
  const problem = payloadProblem(command.payload, signal.payload);
  const end: ControlEnd =
    problem === null
      ? endWith(command.outputs, command.path, signal.payload as JsonValue)
      : { state: 'failed', error: { code: 'invalid-payload', message: problem }, output: null };
  return close(transaction, { runId, command }, end);
}

async function close(
  transaction: Transaction,
  { runId, command }: ExternalWait<SignalCommand>,
  end: ControlEnd,
): Promise<WaitReport> {
  const step = { runId, path: command.path };
  await closeStep(transaction, step, end);
  await endWait(transaction, step);
  await notifyRun(transaction, runId);
  return waitReport(end);
}
