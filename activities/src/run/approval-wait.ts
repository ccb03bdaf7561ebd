import { lockRun, notifyRun, type ControlEnd } from '@fettle/database';
import { askApproval, withdrawApproval } from '@fettle/operations';
import { waitReport, type CommandOf, type WaitKind } from './wait-report.js';
import { closeStep, openStep, type OpenedStep } from './waiting-step.js';

const cancelled: ControlEnd = { state: 'cancelled', error: null, output: null };

/** A step that asks people; their answers, and the plan that they are about, stand in the database alone. */
export const approvalWait: WaitKind<CommandOf<'ask-approval'>> = {
  async look(transaction, { runId, command }) {
    const { path, approval, message, shielded } = command;
    const step = { runId, path, shielded };
    let opened: OpenedStep = { kind: 'open' };
    const asked = await askApproval(transaction, { runId, path, approval, message }, async () => {
      opened = await openStep(transaction, step);
      return opened.kind === 'open';
    });
    if (asked.kind === 'refused') {
      const found = opened as OpenedStep;
      return found.kind === 'ended' ? waitReport(found.end) : { state: 'cancelled', output: null, error: null };
    }
    if (asked.kind === 'open') return { state: 'open', nextMs: asked.nextMs };
    const end: ControlEnd =
      asked.kind === 'approved'
        ? { state: 'succeeded', error: null, output: null }
        : { state: 'failed', error: asked.error, output: null };
    await closeStep(transaction, step, end);
    await notifyRun(transaction, runId);
    return waitReport(end);
  },

  async end(transaction, { runId, command }) {
    const step = { runId, path: command.path };
    await lockRun(transaction, runId);
    await withdrawApproval(transaction, step);
    await closeStep(transaction, step, cancelled);
    await notifyRun(transaction, runId);
    return waitReport(cancelled);
  },
};
