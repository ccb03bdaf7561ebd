import { FettleError } from '@fettle/contracts';
import {
  appendEntries,
  endWait,
  findCalledRun,
  insertCall,
  lockCallingRun,
  lockRun,
  notifyRun,
  saveLockedRun,
  type CalledRun,
  type ControlEnd,
  type Transaction,
} from '@fettle/database';
import { cancelSubRun, startSubRun } from '@fettle/operations';
import type { JsonValue, WorkCommand } from '@fettle/runbook';
import { endWith, waitReport, type ExternalWait, type WaitKind, type WaitReport } from './wait-report.js';
import { closeStep, openStep } from './waiting-step.js';
import { storedError } from './judge-error.js';

type CallCommand = Extract<WorkCommand, { kind: 'call' }>;
type CallWait = ExternalWait<CallCommand>;

/** A step that calls another runbook: a run of its own, started once in the transaction that journals the step's start. */
export const callWait: WaitKind<CallCommand> = {
  async look(transaction, wait) {
    const { runId, command } = wait;
    const parent = await lockCallingRun(transaction, runId);
    if (parent === null) return { state: 'cancelled', output: null, error: null };
    const step = { runId, path: command.path, shielded: command.shielded };
    const opened = await openStep(transaction, step);
    if (opened.kind === 'ended') return waitReport(opened.end);
    if (opened.kind === 'refused') return { state: 'cancelled', output: null, error: null };
    const called = await findCalledRun(transaction, step);
    if (called !== null) return settle(transaction, wait, called);
    try {
      // A start that is refused leaves nothing but the step's end.
      const started = await transaction.transaction((nested) => startSubRun(nested, parent, command));
      await insertCall(transaction, step, command.runbook, started.id);
      const locked = await lockRun(transaction, runId);
      const { id, runbook, version } = started;
      await appendEntries(transaction, locked, [
        { kind: 'run-called', step: command.path, data: { runId: id, runbook, version, targets: started.targetCount } },
      ]);
      await saveLockedRun(transaction, locked);
      await notifyRun(transaction, runId);
      const known = started.state === 'succeeded' ? await findCalledRun(transaction, step) : null;
      return known === null ? { state: 'open' } : await settle(transaction, wait, known);
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      const end: ControlEnd = { state: 'failed', error: storedError(error), output: null };
      await closeStep(transaction, step, end);
      return waitReport(end);
    }
  },

  /** The called run is asked to end; the step ends with it. */
  async end(transaction, wait, why) {
    const { runId, command } = wait;
    const parent = await lockCallingRun(transaction, runId);
    const called = await findCalledRun(transaction, { runId, path: command.path });
    if (parent === null || called === null) {
      const end: ControlEnd = { state: 'cancelled', error: null, output: null };
      if (parent !== null) await closeStep(transaction, { runId, path: command.path }, end);
      return waitReport(end);
    }
    const settled = await settle(transaction, wait, called);
    if (settled.state !== 'open') return settled;
    await cancelSubRun(transaction, called.id, `step "${command.path}" of run ${runId} ended as ${why}`);
    return { state: 'open' };
  },
};

async function settle(transaction: Transaction, wait: CallWait, called: CalledRun): Promise<WaitReport> {
  const { runId, command } = wait;
  const end = endOf(wait, called);
  if (end === null) return { state: 'open' };
  const step = { runId, path: command.path };
  await closeStep(transaction, step, end);
  await endWait(transaction, step);
  return waitReport(end);
}

/** Null: it goes on. */
function endOf({ command, isCancelling }: CallWait, called: CalledRun): ControlEnd | null {
  const { id, runbook, state, error, outputs } = called;
  switch (state) {
    case 'succeeded':
      return endWith(command.outputs, command.path, (outputs ?? {}) as JsonValue);
    case 'cancelled':
      if (isCancelling === true) return { state: 'cancelled', error: null, output: null };
      return failed('sub-run-cancelled', `Run ${id} of runbook "${runbook}" was cancelled.`);
    case 'failed':
    case 'timed-out':
      return failed(
        state === 'failed' ? 'sub-run-failed' : 'sub-run-timed-out',
        `Run ${id} of runbook "${runbook}" ${state === 'failed' ? 'failed' : 'timed out'}${error === null ? '' : `: ${error.message}`}`,
      );
    default:
      return null;
  }
}

function failed(code: string, message: string): ControlEnd {
  return { state: 'failed', error: { code, message: message.slice(0, 2000) }, output: null };
}
