import type { ActionStep, StepState } from '@fettle/contracts';
import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { compileStep, retryDelayMs } from '../engine/decide-step.js';
import { undoDecision, undoOf, type StepUndo } from '../engine/step-undo.js';
import type { JsonObject } from '../json.js';
import { outcomeOf, prepareInput, type Outcome } from './attempt.js';
import type { SegmentHost } from './simulated-segment.js';
import { isOpen, type TargetRow } from './targets.js';

type UndoSegment = Extract<EngineCommand, { kind: 'undo-segment' }>;

/**
 * Undoes what was begun in a segment, on all its targets beside each other and on each the last step first. Where something of a later
 * segment could not be undone, or nobody knows of it, all of this one stays. `above`: what the run says that rolls back, where it is not
 * this one.
 * @returns the number of targets
 */
export function undoSegment(
  host: SegmentHost,
  command: UndoSegment,
  answer: (event: EngineEvent) => void,
  above?: UndoAbove,
): number {
  const { path, which } = command;
  const targets = host.targets
    .filter((target) => (above === undefined ? isWanted(target, which) : above.isMeant(target)))
    .map((target) => ({ target, done: doneSteps(host, command, target) }))
    .filter(({ done }) => done.length > 0);
  let left = targets.length;
  const incomplete: string[] = [];
  const end = (): void => {
    const message = `not undone for certain on ${incomplete.join(', ')}`;
    if (incomplete.length === 0) answer({ kind: 'ended', path, state: 'succeeded' });
    else answer({ kind: 'ended', path, state: 'failed', error: { code: 'rollback-incomplete', message } });
  };
  if (left === 0) {
    host.clock.after(0, end);
    return 0;
  }
  for (const { target, done } of targets) {
    const isKept = isUnknownElsewhere(target, done) || above?.isKept(target) === true;
    const undo = new TargetUndo(host, command, { target, done, isKept }, (isComplete) => {
      if (!isComplete) incomplete.push(target.name);
      left -= 1;
      if (left === 0) end();
    });
    host.clock.after(0, () => undo.next());
  }
  return targets.length;
}

export function isWanted(target: TargetRow, which: UndoSegment['which']): boolean {
  if (which === 'all') return true;
  if (isOpen(target)) return which === 'unfinished';
  return target.state !== 'succeeded' && target.state !== 'skipped';
}

/** A step that may have to be undone, or that nobody knows of. */
interface Done {
  readonly path: string;
  readonly id: string;
  readonly step: ActionStep;
  /** Null only of one that nobody knows of. */
  readonly undo: StepUndo | null;
  readonly state: StepState | null;
}

/** Steps of the segment whose action was called on a target, in the order of the text: those with an undo, and the unknown ones. */
function doneSteps(
  { codes, actions }: SegmentHost,
  { first, last, prefix }: UndoSegment,
  target: TargetRow,
): readonly Done[] {
  return [...target.begun]
    .sort(([, a], [, b]) => a.index - b.index)
    .flatMap(([path, { index, isExecuted, state }]): Done[] => {
      const code = codes[index];
      const undo = code === undefined ? null : undoOf(code.step, actions);
      const isHere = index >= first && index <= last && path === `${prefix}${code?.path ?? ''}`;
      if (code === undefined || !isHere || !isExecuted || state === 'unreachable') return [];
      if (undo === null && !isUncertain(state)) return [];
      return [{ path, id: code.step.id, step: code.step, undo, state }];
    });
}

/** What the run that rolls back says of a target of one below it. */
export interface UndoAbove {
  readonly isMeant: (target: TargetRow) => boolean;
  /** What is not undone yet stays. */
  readonly isKept: (target: TargetRow) => boolean;
}

/** Of a step of another segment nobody knows: a target goes no further after it, so it is a later one. */
function isUnknownElsewhere(target: TargetRow, done: readonly Done[]): boolean {
  const here = new Set(done.map(({ path }) => path));
  return [...target.begun].some(([path, step]) => step.isExecuted && isUncertain(step.state) && !here.has(path));
}

/** Nobody knows whether it happened: a person decides. */
function isUncertain(state: StepState | null): boolean {
  return state === 'unknown' || state === null;
}

/** The rollback of one target: with a step that cannot be undone, the earlier ones stay as they are. */
class TargetUndo {
  readonly #host: SegmentHost;
  readonly #command: UndoSegment;
  readonly #target: TargetRow;
  readonly #onEnd: (isComplete: boolean) => void;
  /** What is still to be undone, the next one last. */
  readonly #left: Done[];
  /** Nobody knows of a later step on it: what is not undone yet stays. */
  readonly #isKept: boolean;

  constructor(
    host: SegmentHost,
    command: UndoSegment,
    { target, done, isKept }: { readonly target: TargetRow; readonly done: readonly Done[]; readonly isKept: boolean },
    onEnd: (isComplete: boolean) => void,
  ) {
    this.#host = host;
    this.#command = command;
    this.#target = target;
    this.#onEnd = onEnd;
    this.#left = [...done];
    this.#isKept = isKept;
  }

  next(): void {
    const done = this.#left.at(-1);
    if (done === undefined || done.undo === null || isUncertain(done.state)) return this.#end();
    if (this.#target.undone.has(done.path)) {
      this.#left.pop();
      return this.next();
    }
    if (this.#target.isRollbackIncomplete || this.#isKept) return this.#end();
    this.#attempt(done, done.undo, 1);
  }

  #end(): void {
    const left = this.#left.map(({ path }) => path).reverse();
    const state = left.length === 0 ? 'undone' : 'incomplete';
    if (left.length > 0) this.#target.isRollbackIncomplete = true;
    this.#host.append({ kind: 'target-rolled-back', target: this.#target.name, data: { state, left } });
    this.#onEnd(left.length === 0);
  }

  #attempt(done: Done, undo: StepUndo, attempt: number): void {
    const { clock, script, runbook, number: run, actions } = this.#host;
    const target = this.#target;
    const { path, id, step } = done;
    this.#host.append({ kind: 'undo-started', target: target.name, step: path, data: { attempt } });
    const variables = this.#host.variables(target, this.#command);
    const end = (outcome: Outcome): void => this.#ended(done, undo, attempt, outcome);
    const compiled = compileStep({ with: undo.with ?? step.with }, 'target');
    const decision = undoDecision(undo, { compiled, action: actions[step.uses] }, variables);
    if (decision.kind === 'skip') {
      clock.after(0, () => end({ state: 'skipped', exitCode: null, error: null, output: null }));
      return;
    }
    if (decision.kind !== 'run') {
      const error = decision.kind === 'fail' ? decision.error : null;
      clock.after(0, () => end({ state: 'failed', exitCode: null, error, output: null }));
      return;
    }
    const where = `Input of the rollback of step "${path}" on ${target.name}`;
    const prepared = prepareInput(undo.uses, decision.input, undo.timeout, where, actions);
    if (prepared.kind === 'over') {
      clock.after(0, () => end(prepared.outcome));
      return;
    }
    const { input, effect, timeoutMs } = prepared;
    const subject = { runbook, run, path, id, phase: 'undo', target: target.name, attempt } as const;
    const scripted = script.attempt({ ...subject, uses: undo.uses, input, effect, variables });
    const read = { outputs: {}, isControl: false };
    clock.after(Math.min(scripted.takesMs, timeoutMs), () => end(outcomeOf(scripted, prepared, read, variables)));
  }

  #ended(done: Done, undo: StepUndo, attempt: number, outcome: Outcome): void {
    const { state, exitCode, error } = outcome;
    const data: JsonObject = { attempt, state, exitCode, error: error === null ? null : { ...error } };
    this.#host.append({ kind: 'undo-ended', target: this.#target.name, step: done.path, data });
    if (state === 'succeeded' || state === 'skipped') {
      this.#left.pop();
      this.#target.undone.add(done.path);
      return this.next();
    }
    const mayRetry = state === 'failed' || state === 'unreachable';
    const delayMs = mayRetry ? retryDelayMs(undo.retry, attempt) : null;
    if (delayMs === null) return this.#end();
    this.#host.clock.after(delayMs, () => this.#attempt(done, undo, attempt + 1));
  }
}
