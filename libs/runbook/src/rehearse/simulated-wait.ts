import { durationMs, FettleError } from '@fettle/contracts';
import { compileSchema } from '../document/validate-inputs.js';
import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { stepOutputs, type StepError } from '../engine/decide-step.js';
import type { JsonObject, JsonValue } from '../json.js';
import type { ScriptedDecision } from './script.js';
import { takeCapacity } from './simulated-capacity.js';
import type { OpenWork, SimulatedRun } from './simulated-run.js';

type Kind = 'wait' | 'wait-until' | 'ask-approval' | 'await-signal' | 'take-capacity';
type Wait<Only extends Kind = Kind> = Extract<EngineCommand, { kind: Only }>;
type Answer = (event: EngineEvent) => void;

/** Opens what lets time pass or waits for somebody; it is answered later, in any case once. */
export function simulatedWait(run: SimulatedRun, command: Wait, answer: Answer): OpenWork {
  switch (command.kind) {
    case 'wait':
      return timedWait(run, command, answer);
    case 'wait-until':
      return waitUntil(run, command, answer);
    case 'ask-approval':
      return askApproval(run, command, answer);
    case 'await-signal':
      return awaitSignal(run, command, answer);
    case 'take-capacity':
      return takeCapacity(run, command, answer);
  }
}

/** Whether it is a step that waits, and not a pause of a rollout or the queue of a capacity. */
export function isWaitingStep(command: Wait): boolean {
  return command.kind === 'wait' ? command.isStep === true : command.kind !== 'take-capacity';
}

/** Journals the start of a wait that is a step, and gives what journals its end and answers. */
function stepOf(run: SimulatedRun, path: string, answer: Answer) {
  run.append({ kind: 'step-started', step: path, data: { attempt: 1 } });
  return (
    state: 'succeeded' | 'failed' | 'cancelled',
    more: { readonly output?: JsonValue; readonly error?: StepError } = {},
  ): void => {
    const error = more.error === undefined ? null : { ...more.error };
    run.append({ kind: 'step-ended', step: path, data: { attempt: 1, state, error } });
    answer({ kind: 'ended', path, state, ...more });
  };
}

function timedWait(run: SimulatedRun, command: Wait<'wait'>, answer: Answer): OpenWork {
  const { path, durationMs: waitMs, wave, isStep } = command;
  const number = wave === undefined ? {} : { wave };
  const note = (kind: 'step-started' | 'step-ended', data: JsonObject): void => {
    if (isStep === true) run.append({ kind, step: path, data });
  };
  note('step-started', { attempt: 1 });
  const stop = run.clock.after(waitMs, () => {
    note('step-ended', { attempt: 1, state: 'succeeded', error: null });
    answer({ kind: 'waited', path, ...number });
  });
  return {
    cancel: () => {
      stop();
      note('step-ended', { attempt: 1, state: 'cancelled', error: null });
      answer({ kind: 'ended', path, state: 'cancelled' });
    },
  };
}

/** RFC 3339, section 5.6. */
const moment = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function waitUntil(run: SimulatedRun, { path, until }: Wait<'wait-until'>, answer: Answer): OpenWork {
  const end = stepOf(run, path, answer);
  const atMs = moment.test(until) ? Date.parse(until.replace(' ', 'T').toUpperCase()) : Number.NaN;
  if (Number.isNaN(atMs)) {
    const message = `"${until.slice(0, 60)}" is no moment: it must be a date and time with offset as in RFC 3339`;
    return ending(run, 0, () => end('failed', { error: { code: 'invalid-moment', message } }), end);
  }
  return ending(run, atMs - run.clock.nowMs, () => end('succeeded'), end);
}

function ending(run: SimulatedRun, delayMs: number, onTime: () => void, end: (state: 'cancelled') => void): OpenWork {
  const stop = run.clock.after(delayMs, onTime);
  return {
    cancel: () => {
      stop();
      end('cancelled');
    },
  };
}

function askApproval(run: SimulatedRun, command: Wait<'ask-approval'>, answer: Answer): OpenWork {
  const { path, approval, message } = command;
  const end = stepOf(run, path, answer);
  const { roles, principals, quorum } = approval;
  run.append({ kind: 'approval-asked', step: path, data: { message, roles, principals, quorum } });
  const expiresMs = durationMs(approval.expires);
  const approvers = new Set<string>();
  const stops: (() => void)[] = [];
  const stop = (): void => stops.forEach((one) => one());
  const decide = ({ by, decision, reason }: ScriptedDecision): void => {
    run.append({ kind: 'approval-decided', step: path, data: { decision, by, reason } });
    if (decision === 'approve') {
      approvers.add(by);
      if (approvers.size < quorum) return;
      stop();
      return end('succeeded');
    }
    stop();
    const text = `${by} rejected it${reason === null ? '' : `: ${reason}`}`;
    end('failed', { error: { code: 'approval-rejected', message: text } });
  };
  const expire = (): void => {
    stop();
    run.append({ kind: 'approval-expired', step: path });
    end('failed', { error: { code: 'approval-expired', message: `nobody decided within ${expiresMs / 1000} s` } });
  };
  stops.push(run.clock.after(expiresMs, expire));
  const { escalate } = approval;
  if (escalate !== undefined && durationMs(escalate.after) < expiresMs) {
    const data = { roles: escalate.roles, principals: escalate.principals };
    const tell = (): void => run.append({ kind: 'approval-escalated', step: path, data });
    stops.push(run.clock.after(durationMs(escalate.after), tell));
  }
  for (const decision of run.script.decisions({ runbook: run.runbook, path })) {
    if (decision.afterMs < expiresMs) stops.push(run.clock.after(decision.afterMs, () => decide(decision)));
  }
  return {
    cancel: () => {
      stop();
      run.append({ kind: 'approval-withdrawn', step: path });
      end('cancelled');
    },
  };
}

function awaitSignal(run: SimulatedRun, command: Wait<'await-signal'>, answer: Answer): OpenWork {
  const { path, signal, payload: schema, timeoutMs, outputs } = command;
  const end = stepOf(run, path, answer);
  const compiled = compileSchema(schema, 'payload');
  const fits = (payload: JsonValue): boolean => 'validate' in compiled && compiled.validate(structuredClone(payload));
  const stop = run.clock.after(timeoutMs, () => {
    run.listeners.delete(path);
    const text = `the signal "${signal}" did not come within ${timeoutMs / 1000} s`;
    end('failed', { error: { code: 'signal-timeout', message: text } });
  });
  const done = (payload: JsonValue): void => {
    try {
      end('succeeded', { output: stepOutputs(outputs, { result: payload }) });
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      end('failed', { error: { code: error.code, message: error.message } });
    }
  };
  const take = (payload: JsonValue): void => {
    run.listeners.delete(path);
    stop();
    run.append({ kind: 'signal-taken', step: path, data: { signal } });
    if (fits(payload)) done(payload);
    else end('failed', { error: { code: 'invalid-payload', message: 'the payload does not fit' } });
  };
  run.listeners.set(path, { signal, take });
  const kept = run.mailbox.findIndex(({ name }) => name === signal);
  const [letter] = kept < 0 ? [] : run.mailbox.splice(kept, 1);
  // Answered after this command is open.
  if (letter !== undefined)
    run.clock.after(0, () => {
      if (run.listeners.has(path)) take(letter.payload);
    });
  return {
    cancel: () => {
      stop();
      run.listeners.delete(path);
      end('cancelled');
    },
  };
}
