import { countFailures, dispatchRoom, type ActionStep, type TargetState } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';
import { retryDelayMs, type CompiledStep, type StepError } from '../engine/decide-step.js';
import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { TargetCode } from '../engine/target-code.js';
import { nextAfterFailure, nextAfterStop, nextAfterSuccess } from '../engine/target-way.js';
import type { JsonObject } from '../json.js';
import {
  cancelledOutcome,
  CRASH_NOTICED_MS,
  faultAfterMs,
  outcomeOf,
  outcomeOfCrash,
  prepareTargetStep,
  type Outcome,
  type Preparation,
} from './attempt.js';
import type { SimulatedClock } from './clock.js';
import type { NewEntry } from './journal.js';
import type { Script, ScriptedEnd } from './script.js';
import { endTarget, openTargets, stopTargets } from './simulated-stop.js';
import { countTargets, isOpen, type TargetRow } from './targets.js';

type Dispatch = Extract<EngineCommand, { kind: 'dispatch-segment' }>;

/** What a segment needs of its run. */
export interface SegmentHost {
  readonly clock: SimulatedClock;
  readonly script: Script;
  readonly actions: ActionRegistry;
  readonly runbook: string;
  /** Of the run, from 1. */
  readonly number: number;
  readonly targets: readonly TargetRow[];
  readonly codes: readonly TargetCode[];
  readonly compiled: readonly CompiledStep[];
  readonly strategy: 'linear' | 'free';
  readonly maxConcurrency: number;
  readonly maxFailures: number | null;
  readonly isStrict: boolean;
  readonly soakMs: number;
  append(entry: NewEntry): void;
  variables(
    target: TargetRow,
    around: { readonly item: JsonObject; readonly outputs?: JsonObject | undefined },
  ): Variables;
  /** Somebody cancels the run. */
  requestCancel(by: string): void;
}

interface InFlight {
  readonly target: TargetRow;
  readonly code: TargetCode;
  readonly abandon: () => void;
}

/** Why a rollout goes no further with the targets that it has not come to. */
export function undispatchedError(host: Pick<SegmentHost, 'targets' | 'maxFailures'>): StepError {
  const counts = countTargets(host.targets);
  const total = host.targets.length;
  const message = `Not dispatched any more: ${countFailures(counts)} of ${total} targets had failed, more than the limit of ${host.maxFailures ?? 0}.`;
  return { code: 'failure-limit', message };
}

/** One dispatch of a segment, or of a wave of it: what lanes do, by the same rules, in simulated time. */
export class SimulatedSegment {
  readonly #host: SegmentHost;
  readonly #command: Dispatch;
  readonly #onEnd: (event: EngineEvent) => void;
  readonly #inFlight = new Map<string, InFlight>();
  #isOver = false;
  /** Nothing more is begun; what stands in a `finally` goes to its end. */
  #isCancelling = false;
  #isTurnDue = false;

  constructor(host: SegmentHost, command: Dispatch, onEnd: (event: EngineEvent) => void) {
    this.#host = host;
    this.#command = command;
    this.#onEnd = onEnd;
  }

  start(): void {
    const { first, enters, wave, path, onlyFinally } = this.#command;
    if (onlyFinally !== undefined) {
      stopTargets(this.#host, this.#command);
      this.#host.clock.after(onlyFinally.limitMs, () => this.#giveUp());
      return this.#turnSoon();
    }
    for (const target of this.#host.targets) {
      if (!enters || !isOpen(target) || target.stepIndex === first) continue;
      Object.assign(target, { stepIndex: first, generation: 1, failing: 0 });
    }
    if (wave === undefined) return this.#turnSoon();
    const open = openTargets(this.#host, this.#command).length;
    if (open === 0) return this.#end({ isEmpty: true });
    const { number, of } = wave;
    this.#host.append({ kind: 'wave-started', step: path, data: { wave: number, of, targets: open } });
    this.#turnSoon();
  }

  /** Ends what is in flight, but for `finally`, and then itself. */
  cancel(): void {
    if (this.#isOver || this.#isCancelling) return;
    this.#isCancelling = true;
    this.#abandon(({ code }) => code.finallys.length === 0);
    if (!this.#isOver && this.#inFlight.size === 0) this.#end({ isCancelled: true });
  }

  #abandon(which: (one: InFlight) => boolean): void {
    for (const { target, code, abandon } of [...this.#inFlight.values()].filter(which)) {
      abandon();
      this.#ended(target, code, cancelledOutcome);
    }
  }

  /** The time for `finally` after a cancel is over. */
  #giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abandon(() => true);
    const { prefix } = this.#command;
    for (const target of openTargets(this.#host, this.#command)) {
      endTarget(this.#host, target, this.#host.codes[target.stepIndex]!, { prefix, state: 'cancelled', after: null });
    }
    this.#end({});
  }

  /** Ends at the same moment are seen together. */
  #turnSoon(delayMs = 0): void {
    if (delayMs === 0 && this.#isTurnDue) return;
    if (delayMs === 0) this.#isTurnDue = true;
    this.#host.clock.after(delayMs, () => {
      if (delayMs === 0) this.#isTurnDue = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#isOver || this.#isCancelling) return;
    const { clock, maxFailures } = this.#host;
    const isStopping = this.#command.onlyFinally !== undefined;
    if (!isStopping && maxFailures !== null && countFailures(countTargets(this.#host.targets)) > maxFailures)
      this.#cancelUndispatched();
    const open = openTargets(this.#host, this.#command);
    if (open.length === 0) return this.#endOfWave();
    const current = Math.min(...open.map(({ stepIndex }) => stepIndex));
    // A `finally` waits for nobody else's.
    const isFree = isStopping || this.#host.strategy === 'free';
    const here = open.filter((target) => !target.isClaimed && (isFree || target.stepIndex === current));
    const due = here
      .filter(({ dueAtMs }) => dueAtMs <= clock.nowMs)
      .sort((a, b) => b.stepIndex - a.stepIndex || a.dueAtMs - b.dueAtMs || a.place - b.place);
    for (const target of this.#withRoom(due, open)) this.#begin(target);
    const later = here.filter((target) => !target.isClaimed && target.dueAtMs > clock.nowMs);
    if (later.length > 0) this.#turnSoon(Math.min(...later.map(({ dueAtMs }) => dueAtMs)) - clock.nowMs);
  }

  #withRoom(due: readonly TargetRow[], open: readonly TargetRow[]): readonly TargetRow[] {
    const { targets, maxConcurrency, maxFailures } = this.#host;
    const isStrict = this.#host.isStrict && this.#command.onlyFinally === undefined;
    const isAgain = (target: TargetRow): boolean => target.generation > 1;
    const waiting = open.filter((target) => target.state === 'running' && isAgain(target) && !target.isClaimed);
    const room = dispatchRoom({
      wanted: Number.MAX_SAFE_INTEGER,
      maxConcurrency,
      claimed: targets.filter(({ isClaimed }) => isClaimed).length,
      waiting: isStrict ? waiting.length : 0,
      failures: countFailures(countTargets(targets)),
      maxFailures,
      isStrict,
    });
    if (room.first >= room.all) return due.slice(0, room.all);
    const again = due.filter(isAgain).slice(0, room.all);
    const left = Math.min(room.first, room.all - again.length);
    return [...again, ...due.filter((target) => !isAgain(target)).slice(0, Math.max(0, left))];
  }

  /** Decides what an attempt does, journals its start, and lets it take its time. */
  #begin(target: TargetRow, isAgain = false): void {
    const { clock, codes, compiled, actions, script, runbook, number: run } = this.#host;
    const code = codes[target.stepIndex]!;
    const path = this.#pathOf(code);
    target.state = 'running';
    target.isClaimed = true;
    const known = target.begun.get(path) ?? { index: code.index, state: null, isExecuted: false, before: null };
    const before = known.state === 'unreachable' ? known.before : known.state;
    const begun = { ...known, state: null, before };
    target.begun.set(path, begun);
    const variables = this.#host.variables(target, this.#command);
    const prepared = prepareTargetStep(code, compiled[code.index]!, target, variables, actions);
    this.#host.append({ kind: 'step-started', target: target.name, step: path, data: { attempt: target.generation } });
    if (prepared.kind === 'over') {
      const abandon = clock.after(0, () => this.#ended(target, code, prepared.outcome));
      this.#inFlight.set(target.name, { target, code, abandon });
      return;
    }
    target.begun.set(path, { ...begun, isExecuted: true });
    const { uses, id } = code.step;
    const { input, effect } = prepared;
    const attempt = target.generation;
    const call = {
      runbook,
      run,
      path,
      id,
      phase: 'do',
      target: target.name,
      attempt,
      uses,
      input,
      effect,
      variables,
    } as const;
    const scripted = script.attempt(call);
    // The worker is lost once; what comes back to life goes to its end.
    this.#fly(target, code, prepared, isAgain ? { ...scripted, fault: undefined } : scripted, variables);
  }

  #fly(
    target: TargetRow,
    code: TargetCode,
    prepared: Extract<Preparation, { kind: 'execute' }>,
    scripted: ScriptedEnd,
    variables: Variables,
  ): void {
    const { clock } = this.#host;
    const takesMs = Math.min(scripted.takesMs, prepared.timeoutMs);
    const step = { outputs: code.step.outputs, isControl: false };
    const strikesMs = faultAfterMs(scripted, prepared);
    if (scripted.fault === 'crash') {
      const abandon = clock.after(strikesMs + CRASH_NOTICED_MS, () => {
        const outcome = outcomeOfCrash(prepared.effect, code.step.id);
        if (outcome !== null) return this.#ended(target, code, outcome);
        this.#begin(target, true);
      });
      this.#inFlight.set(target.name, { target, code, abandon });
      return;
    }
    const stop = clock.after(takesMs, () => this.#ended(target, code, outcomeOf(scripted, prepared, step, variables)));
    this.#inFlight.set(target.name, { target, code, abandon: stop });
    if (scripted.fault === 'cancel') clock.after(strikesMs, () => this.#host.requestCancel('rehearsal'));
  }

  #pathOf(code: TargetCode): string {
    return `${this.#command.prefix}${code.path}`;
  }

  #ended(target: TargetRow, code: TargetCode, outcome: Outcome): void {
    this.#inFlight.delete(target.name);
    target.isClaimed = false;
    const { state, exitCode, error } = outcome;
    if (state !== 'skipped') target.hasExecuted = true;
    const begun = target.begun.get(this.#pathOf(code));
    // As the journal is read: an attempt that reached nobody says nothing of the one before it.
    if (begun !== undefined) begun.state = state === 'unreachable' ? (begun.before ?? state) : state;
    if (state === 'succeeded' && outcome.output !== null) target.outputs[code.step.id] = outcome.output;
    if (error !== null) target.error = { ...error, step: this.#pathOf(code) };
    const attempt = target.generation;
    const next = this.#next(target, code, outcome);
    const { clock } = this.#host;
    if (next.kind === 'retry') {
      target.generation += 1;
      target.dueAtMs = clock.nowMs + next.delayMs;
    } else if (next.kind === 'advance') {
      Object.assign(target, { stepIndex: next.index, failing: next.failing, generation: 1 });
    }
    const data = { attempt, state, exitCode, error: error === null ? null : { ...error }, next: next.kind };
    this.#host.append({ kind: 'step-ended', target: target.name, step: this.#pathOf(code), data });
    if (next.kind === 'end') {
      const { prefix } = this.#command;
      endTarget(this.#host, target, code, { prefix, state: next.state, after: state });
    }
    if (this.#isOver) return;
    if (!this.#isCancelling) this.#turnSoon();
    else if (this.#inFlight.size === 0) this.#end({ isCancelled: true });
  }

  #next(target: TargetRow, code: TargetCode, outcome: Outcome): Next {
    const { state } = outcome;
    if (state === 'failed' || state === 'unreachable') {
      const retry: ActionStep['retry'] | null = code.step.retry ?? null;
      const delayMs = outcome.isFinal === true ? null : retryDelayMs(retry, target.generation);
      if (delayMs !== null) return { kind: 'retry', delayMs };
    }
    const isStopped = state === 'cancelled' && this.#command.onlyFinally === undefined;
    const stop = isStopped ? nextAfterStop(code, target.failing, true) : null;
    if (stop !== null) return { kind: 'advance', ...stop };
    if (state !== 'succeeded' && state !== 'skipped' && state !== 'failed') return { kind: 'end', state };
    const way = state === 'failed' ? nextAfterFailure(code, target.failing) : nextAfterSuccess(code, target.failing);
    if (way.kind === 'end') return way;
    const { isLast, last } = this.#command;
    if (way.index <= last || !isLast) return { kind: 'advance', index: way.index, failing: way.failing };
    return { kind: 'end', state: target.hasExecuted ? 'succeeded' : 'skipped' };
  }

  /** Those that the segment has not begun with, of this wave and of later ones. */
  #cancelUndispatched(): void {
    const { first, wave, path } = this.#command;
    const { targets, codes, maxFailures } = this.#host;
    const firstPath = this.#pathOf(codes[first]!);
    const left = targets.filter(
      (target) => isOpen(target) && target.stepIndex === first && !target.isClaimed && !target.begun.has(firstPath),
    );
    if (left.length === 0) return;
    const error = undispatchedError(this.#host);
    const failures = countFailures(countTargets(targets));
    for (const target of left) Object.assign(target, { state: 'cancelled', error: { ...error, step: path } });
    const data = { wave: wave?.number ?? 1, failures, maxFailures, undispatched: left.length };
    this.#host.append({ kind: 'rollout-stopped', data });
    for (const { name } of left)
      this.#host.append({ kind: 'target-ended', target: name, data: { state: 'cancelled' } });
  }

  #endOfWave(): void {
    const { wave, path } = this.#command;
    if (wave !== undefined && this.#command.onlyFinally === undefined) {
      const counts = countTargets(this.#host.targets);
      const { maxFailures, soakMs } = this.#host;
      const isOverLimit = maxFailures !== null && countFailures(counts) > maxFailures;
      const waits = wave.number < wave.of && soakMs > 0 && !isOverLimit;
      const data = { wave: wave.number, of: wave.of, counts, ...(waits ? { soakMs } : {}) };
      this.#host.append({ kind: 'wave-ended', step: path, data });
    }
    this.#end({});
  }

  #end(more: { readonly isEmpty?: boolean; readonly isCancelled?: boolean }): void {
    this.#isOver = true;
    const counts = countTargets(this.#host.targets);
    const between = { ...counts, pending: counts.pending + counts.running, running: 0 };
    const { path, wave } = this.#command;
    const number = wave === undefined ? {} : { wave: wave.number, isEmpty: more.isEmpty ?? false };
    const cancelled = more.isCancelled === true ? { isCancelled: true } : {};
    this.#onEnd({ kind: 'segment-ended', path, counts: between, ...number, ...cancelled });
  }
}

type Next =
  | { readonly kind: 'advance'; readonly index: number; readonly failing: number }
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'end'; readonly state: TargetState };
