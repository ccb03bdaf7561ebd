import { renderTemplate } from '@fettle/expression';
import { jsonSizeBytes, type JsonObject, type JsonValue } from '../json.js';
import { compileStep, decideStep } from './decide-step.js';
import type {
  ApprovalNode,
  CallNode,
  ControlNode,
  ControlRollback,
  PauseNode,
  PolledAction,
  ProgramNode,
  SignalNode,
  UntilNode,
} from './program-nodes.js';
import type { KnownEnd } from './memo.js';
import type { Outcome } from './state.js';
import { WalkTargets } from './walk-targets.js';
import {
  cancelled,
  failureOf,
  MAX_CONTROL_OUTPUT_BYTES,
  ok,
  skipped,
  stepError,
  tooLarge,
  unreachable,
  type Answer,
  type Place,
  type Result,
} from './walk-base.js';

/** Steps that run once for the run, and those that wait. */
export abstract class WalkLeaves extends WalkTargets {
  protected control(node: ControlNode, place: Place, path: string): Result {
    const { step } = node;
    if (Object.hasOwn(this.draft.open, path)) {
      const isUnknown = this.answer?.path === path && this.answer.kind === 'ended' && this.answer.state === 'unknown';
      const result = this.ended(path, place);
      if (result !== 'pending' && step.rollback !== null) this.#readyUndo(path, step.rollback, place, isUnknown);
      return result;
    }
    const decision = decideStep(compileStep({ with: step.with }, 'run'), this.variables(place));
    if (decision.kind !== 'run') return this.refused(path, decision.kind === 'fail' ? decision.error : unreachable());
    const { uses, actionVersion, outputs, retry, timeoutMs } = step;
    const { input } = decision;
    if (step.rollback !== null) this.#registerUndo(path, step.rollback);
    const command = { kind: 'run-control', path, uses, actionVersion, input, outputs, retry, timeoutMs } as const;
    return this.open(place, { ...command, generation: 1 });
  }

  /** What became of it in the run that this one takes up; null: it is to be done. */
  protected recall(node: ProgramNode, place: Place, path: string): Outcome | null {
    const { memo } = this.draft;
    const end = memo !== undefined && Object.hasOwn(memo.ends, path) ? memo.ends[path] : undefined;
    return end === undefined ? null : this.settle(node, place, path, this.#known(node, place, path, end));
  }

  protected abstract settle(node: ProgramNode, place: Place, path: string, result: Outcome): Outcome;

  #known(node: ProgramNode, place: Place, path: string, end: KnownEnd): Outcome {
    if (end.state === 'skipped') return skipped;
    if (end.state === 'failed') {
      if (node.kind === 'call') this.#registerCall(path, node.call.targets);
      return { state: 'failed', error: failureOf(path, end.error ?? unreachable()) };
    }
    const kept = this.keep(path, end.output ?? null);
    if (node.kind === 'control' && node.step.rollback !== null && kept.state === 'ok') {
      this.#registerUndo(path, node.step.rollback);
      this.#readyUndo(path, node.step.rollback, place, false);
    }
    if (node.kind === 'call' && kept.state === 'ok') this.#registerCall(path, node.call.targets);
    return kept;
  }

  #registerCall(path: string, targets: 'own' | 'inherit'): void {
    this.draft.undo = [...this.draft.undo, { kind: 'call', path, isInherited: targets === 'inherit' }];
  }

  #registerUndo(path: string, { with: _input, ...action }: ControlRollback): void {
    this.draft.undo = [...this.draft.undo, { kind: 'control', path, action, input: null }];
  }

  /** Its input is rendered while what it reads is known. */
  #readyUndo(path: string, rollback: ControlRollback, place: Place, isUnknown: boolean): void {
    const variables = this.variables(place);
    const decision = decideStep(compileStep({ with: rollback.with }, 'run'), variables);
    this.draft.undo = this.draft.undo.map((one) => {
      if (one.path !== path || one.kind !== 'control') return one;
      if (isUnknown) return { ...one, isUnknown: true };
      if (decision.kind === 'run') return { ...one, input: decision.input };
      return { ...one, error: decision.kind === 'fail' ? decision.error : unreachable() };
    });
  }

  /** A command that one answer ends. */
  protected ended(path: string, place: Place): Result {
    const answer = this.take(path);
    if (answer === null) return this.stillOpen(place, path);
    const isCancelled = this.draft.open[path]?.isCancelling === true;
    delete this.draft.open[path];
    if (answer.kind !== 'ended') return ok;
    if (answer.state === 'skipped') return skipped;
    if (answer.state === 'succeeded') return this.keep(path, answer.output ?? null);
    if (answer.state === 'cancelled' && isCancelled) return cancelled;
    return this.failed(path, answer);
  }

  protected failed(path: string, answer: Extract<Answer, { kind: 'ended' }>): Outcome {
    const error = answer.error ?? { code: `step-${answer.state}`, message: `it ended as ${answer.state}` };
    return { state: 'failed', error: failureOf(path, error) };
  }

  protected keep(path: string, output: JsonValue): Outcome {
    if (jsonSizeBytes(output) > MAX_CONTROL_OUTPUT_BYTES) {
      return { state: 'failed', error: failureOf(path, stepError(tooLarge('its output is'))) };
    }
    if (output !== null) this.draft.outputs[path] = output;
    return ok;
  }

  protected call({ call, outputs }: CallNode, place: Place, path: string): Result {
    if (Object.hasOwn(this.draft.open, path)) return this.ended(path, place);
    try {
      const inputs = renderTemplate(call.inputs, 'run', this.variables(place)) as JsonObject;
      const { runbook, version = null, targets, on = null } = call;
      this.#registerCall(path, targets);
      return this.open(place, { kind: 'call', path, runbook, version, inputs, targets, on, outputs });
    } catch (error) {
      return this.refused(path, stepError(error));
    }
  }

  protected approval({ approval }: ApprovalNode, place: Place, path: string): Result {
    if (Object.hasOwn(this.draft.open, path)) return this.ended(path, place);
    try {
      const text = approval.message;
      const message = text === undefined ? null : String(renderTemplate(text, 'run', this.variables(place)));
      return this.open(place, { kind: 'ask-approval', path, approval, message });
    } catch (error) {
      return this.refused(path, stepError(error));
    }
  }

  protected pause({ durationMs }: PauseNode, place: Place, path: string): Result {
    if (Object.hasOwn(this.draft.open, path)) return this.ended(path, place);
    return this.open(place, { kind: 'wait', path, durationMs, isStep: true });
  }

  protected until({ until }: UntilNode, place: Place, path: string): Result {
    if (Object.hasOwn(this.draft.open, path)) return this.ended(path, place);
    try {
      const text = String(renderTemplate(until, 'run', this.variables(place)));
      return this.open(place, { kind: 'wait-until', path, until: text });
    } catch (error) {
      return this.refused(path, stepError(error));
    }
  }

  protected signal({ signal, payload, timeoutMs, outputs }: SignalNode, place: Place, path: string): Result {
    if (Object.hasOwn(this.draft.open, path)) return this.ended(path, place);
    return this.open(place, { kind: 'await-signal', path, signal, payload, timeoutMs, outputs });
  }

  /**
   * Looks, waits, and looks again, until the condition holds or the time is over. A look that fails for certain is one that does not
   * hold: what is waited for may not even answer yet.
   */
  protected poll(node: PolledAction, place: Place, path: string): Result {
    const { draft } = this;
    const [pause, deadline] = [`${path}#pause`, `${path}#deadline`];
    if (!Object.hasOwn(draft.marks, path)) {
      const begun = this.look(node, place, path, 1);
      if (begun !== 'pending') return begun;
      draft.marks[path] = { looks: 1 };
      return this.open(place, { kind: 'wait', path: deadline, durationMs: node.timeoutMs });
    }
    const mark = draft.marks[path] as unknown as PollMark;
    let { result } = mark;
    let { looks, reason, held = 0 } = mark;
    if (this.take(deadline) !== null) {
      delete draft.open[deadline];
      result ??= lateOutcome(node, path, mark);
    }
    const paused = this.take(pause);
    if (paused !== null) delete draft.open[pause];
    const isOver = result !== undefined || place.isCancelling;
    if (paused !== null && !isOver) {
      const looked = this.look(node, place, path, ++looks);
      if (looked !== 'pending') result = looked;
    }
    const answer = this.take(path);
    if (answer?.kind === 'ended') {
      delete draft.open[path];
      held = answer.state === 'succeeded' && answer.holds === true ? held + 1 : 0;
      if (held >= (node.consecutive ?? 1)) result ??= this.keep(path, answer.output ?? null);
      else if (answer.state === 'unknown') result ??= this.failed(path, answer);
      else if (!isOver) {
        reason = answer.error?.message ?? null;
        this.open(place, { kind: 'wait', path: pause, durationMs: node.everyMs });
      }
    }
    if (place.isCancelling) result ??= cancelled;
    const next: PollMark = {
      looks,
      ...(reason ? { reason } : {}),
      ...(held > 0 ? { held } : {}),
      ...(result ? { result } : {}),
    };
    draft.marks[path] = next as unknown as JsonValue;
    if (result === undefined) return 'pending';
    const left = [path, pause, deadline].filter((one) => Object.hasOwn(draft.open, one));
    for (const one of left) this.stillOpen({ ...place, isCancelling: true }, one);
    return left.length === 0 ? result : 'pending';
  }

  protected look({ step, condition }: PolledAction, place: Place, path: string, generation: number): Result {
    const decision = decideStep(compileStep({ with: step.with }, 'run'), this.variables(place));
    if (decision.kind !== 'run') return this.refused(path, decision.kind === 'fail' ? decision.error : unreachable());
    const { uses, actionVersion, outputs, timeoutMs } = step;
    const { input } = decision;
    const command = { kind: 'run-control', path, uses, actionVersion, input, outputs, retry: null, timeoutMs } as const;
    return this.open(place, { ...command, generation, condition });
  }
}

interface PollMark {
  readonly looks: number;
  /** Why the last look failed. */
  readonly reason?: string | null | undefined;
  /** How many looks the condition has held in a row; absent: none. */
  readonly held?: number | undefined;
  readonly result?: Outcome | undefined;
}

function lateOutcome(node: PolledAction, path: string, { looks, reason }: PollMark): Outcome {
  const last = reason ? `; the last one: ${reason}` : '';
  const message = `the condition did not hold within ${node.timeoutMs / 1000} s (${looks} looks)${last}`;
  return { state: 'failed', error: failureOf(path, { code: 'wait-timeout', message }) };
}
