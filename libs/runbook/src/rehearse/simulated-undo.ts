import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { compileStep, retryDelayMs, targetStepDecision } from '../engine/decide-step.js';
import type { JsonObject } from '../json.js';
import { outcomeOf, prepareInput, type Outcome } from './attempt.js';
import type { SegmentHost } from './simulated-segment.js';
import { isOpen, type TargetRow } from './targets.js';

type UndoSegment = Extract<EngineCommand, { kind: 'undo-segment' }>;

/** Undoes what was begun in a segment, on all its targets beside each other and on each the last step first. */
export function undoSegment(host: SegmentHost, command: UndoSegment, answer: (event: EngineEvent) => void): void {
  const { path, which } = command;
  const targets = host.targets.filter((target) => isWanted(target, which));
  let left = targets.length;
  const incomplete: string[] = [];
  const end = (): void => {
    const message = `not undone for certain on ${incomplete.join(', ')}`;
    if (incomplete.length === 0) answer({ kind: 'ended', path, state: 'succeeded' });
    else answer({ kind: 'ended', path, state: 'failed', error: { code: 'rollback-incomplete', message } });
  };
  if (left === 0) {
    host.clock.after(0, end);
    return;
  }
  for (const target of targets) {
    const undo = new TargetUndo(host, command, target, (isComplete) => {
      if (!isComplete) incomplete.push(target.name);
      left -= 1;
      if (left === 0) end();
    });
    host.clock.after(0, () => undo.next());
  }
}

function isWanted(target: TargetRow, which: UndoSegment['which']): boolean {
  if (which === 'all') return true;
  if (isOpen(target)) return which === 'unfinished';
  return target.state !== 'succeeded' && target.state !== 'skipped';
}

/** The rollback of one target. */
class TargetUndo {
  readonly #host: SegmentHost;
  readonly #command: UndoSegment;
  readonly #target: TargetRow;
  readonly #onEnd: (isComplete: boolean) => void;
  /** Paths of what is still to be undone, the next one last. */
  readonly #left: string[];
  #isComplete = true;

  constructor(host: SegmentHost, command: UndoSegment, target: TargetRow, onEnd: (isComplete: boolean) => void) {
    this.#host = host;
    this.#command = command;
    this.#target = target;
    this.#onEnd = onEnd;
    const { first, last, prefix } = command;
    this.#left = [...target.begun].flatMap(([path, { index, isExecuted, state }]) => {
      const rollback = host.codes[index]?.step.rollback;
      const isHere = index >= first && index <= last && path.startsWith(prefix);
      if (!isHere || !isExecuted || rollback === undefined || 'none' in rollback) return [];
      if (state !== 'unknown') return [path];
      // Nobody knows whether it happened: a person decides.
      this.#isComplete = false;
      const message = 'nobody knows whether it happened: look, then decide by hand';
      const error = { code: 'effect-uncertain', message };
      host.append({ kind: 'not-undone', target: target.name, step: path, data: error });
      return [];
    });
  }

  next(): void {
    const path = this.#left.pop();
    if (path === undefined) return this.#onEnd(this.#isComplete);
    this.#attempt(path, 1);
  }

  #attempt(path: string, attempt: number): void {
    const { clock, script, runbook } = this.#host;
    const target = this.#target;
    const step = this.#host.codes[target.begun.get(path)?.index ?? 0]!.step;
    const rollback = step.rollback;
    if (rollback === undefined || 'none' in rollback) return this.next();
    this.#host.append({ kind: 'undo-started', target: target.name, step: path, data: { attempt } });
    const variables = this.#host.variables(target, this.#command.item);
    const end = (outcome: Outcome): void => this.#ended(path, attempt, outcome, rollback.retry ?? null);
    const decision = targetStepDecision(compileStep({ with: rollback.with }, 'target'), variables);
    if (decision.kind !== 'run') {
      const error = decision.kind === 'fail' ? decision.error : null;
      clock.after(0, () => end({ state: 'failed', exitCode: null, error, output: null }));
      return;
    }
    const where = `Input of the rollback of step "${path}" on ${target.name}`;
    const prepared = prepareInput(rollback.uses, decision.input, rollback.timeout, where, this.#host.actions);
    if (prepared.kind === 'over') {
      clock.after(0, () => end(prepared.outcome));
      return;
    }
    const { input, effect, timeoutMs } = prepared;
    const subject = { runbook, path, id: step.id, phase: 'undo', target: target.name, attempt } as const;
    const scripted = script.attempt({ ...subject, uses: rollback.uses, input, effect, variables });
    const read = { outputs: {}, isControl: false };
    clock.after(Math.min(scripted.takesMs, timeoutMs), () => end(outcomeOf(scripted, prepared, read, variables)));
  }

  #ended(path: string, attempt: number, outcome: Outcome, retry: Parameters<typeof retryDelayMs>[0]): void {
    const { state, exitCode, error } = outcome;
    const data: JsonObject = { attempt, state, exitCode, error: error === null ? null : { ...error } };
    this.#host.append({ kind: 'undo-ended', target: this.#target.name, step: path, data });
    const mayRetry = state === 'failed' || state === 'unreachable';
    const delayMs = mayRetry ? retryDelayMs(retry, attempt) : null;
    if (delayMs !== null) {
      this.#host.clock.after(delayMs, () => this.#attempt(path, attempt + 1));
      return;
    }
    if (state !== 'succeeded') this.#isComplete = false;
    this.next();
  }
}
