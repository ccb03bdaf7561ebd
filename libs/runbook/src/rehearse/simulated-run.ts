import { type RunbookSpec } from '@fettle/contracts';
import type { AssetView, Variables } from '@fettle/expression';
import type { advance } from '../engine/advance.js';
import { initialState, type EngineState } from '../engine/state.js';
import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { compileStep, type CompiledStep } from '../engine/decide-step.js';
import { compileRunbook } from '../engine/program.js';
import type { Undo } from '../engine/undo.js';
import { remainingUndo } from '../engine/unwind.js';
import type { ActionRegistry, Program } from '../engine/program-nodes.js';
import type { TargetCode } from '../engine/target-code.js';
import type { JsonObject, JsonValue } from '../json.js';
import { failureLimit } from '../rollout/wave-arithmetic.js';
import type { SimulatedClock } from './clock.js';
import type { NewEntry } from './journal.js';
import { orderedRows } from './order-rows.js';
import type { Script } from './script.js';
import { calledEnd, calledSubject, needsTargets, type CalledEnd } from './simulated-call.js';
import { SimulatedControl } from './simulated-control.js';
import { undoCall } from './simulated-call-undo.js';
import { openEnd, stoppedError } from './simulated-end.js';
import { SimulatedSegment, type SegmentHost } from './simulated-segment.js';
import { undoSegment } from './simulated-undo.js';
import { tellLeftOpen } from './simulated-stop.js';
import { isWaitingStep, simulatedWait } from './simulated-wait.js';
import { countTargets, isOpen, type TargetRow } from './targets.js';

export type Finish = Extract<EngineCommand, { kind: 'finish' }>;
type Work = Extract<EngineCommand, { path: string }>;

/** What simulated runs share. */
export interface World {
  readonly clock: SimulatedClock;
  readonly script: Script;
  readonly actions: ActionRegistry;
  /** The runbooks that may be called. */
  readonly runbooks: ReadonlyMap<string, RunbookSpec>;
  readonly estate: readonly AssetView[];
  readonly random: () => number;
  /** Everything is executed by this; tests put a broken one in its place. */
  readonly advance: typeof advance;
  append(run: { readonly number: number; readonly runbook: string }, entry: NewEntry): void;
  /** Takes up a new run and gives its number, from 1. */
  register(run: SimulatedRun): number;
}

export interface RunSubject {
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly inputs: JsonObject;
  readonly assets: readonly AssetView[];
  /** How many runs called each other before this one. */
  readonly depth: number;
}

/** What was opened and is not answered yet. */
export interface OpenWork {
  /** Answers it as cancelled. */
  cancel(): void;
}

/** Executes one run by the engine in simulated time, with the rules that worker and database keep to. */
export class SimulatedRun implements SegmentHost {
  readonly world: World;
  readonly runbook: string;
  readonly depth: number;
  readonly number: number;
  readonly spec: RunbookSpec;
  readonly inputs: JsonObject;
  readonly targets: readonly TargetRow[];
  readonly codes: readonly TargetCode[];
  readonly compiled: readonly CompiledStep[];
  readonly strategy: 'linear' | 'free';
  readonly maxConcurrency: number;
  readonly maxFailures: number | null;
  readonly isStrict: boolean;
  readonly soakMs: number;
  /** Signals that nobody has waited for yet. */
  readonly mailbox: { readonly name: string; readonly payload: JsonValue }[] = [];
  readonly listeners = new Map<string, { readonly signal: string; take(payload: JsonValue): void }>();
  finish: Finish | null = null;
  /** The runs that its steps called last, by path. */
  readonly called = new Map<string, SimulatedRun>();
  /** The run that called it has begun to undo it. */
  isUndone = false;
  startedAtMs = 0;
  endedAtMs = 0;
  readonly #program: Program;
  readonly #onEnd: (run: SimulatedRun) => void;
  readonly #open = new Map<string, OpenWork>();
  readonly #events: EngineEvent[] = [];
  #state: EngineState;
  #isDraining = false;
  #isCancelRequested = false;

  constructor(world: World, subject: RunSubject, onEnd: (run: SimulatedRun) => void) {
    const { runbook, spec, inputs, assets, depth } = subject;
    const { program, targetCodes } = compileRunbook(spec, world.actions);
    this.world = world;
    this.runbook = runbook;
    this.spec = spec;
    this.inputs = inputs;
    this.depth = depth;
    this.number = world.register(this);
    this.#program = program;
    this.#onEnd = onEnd;
    this.#state = initialState(program);
    this.codes = targetCodes;
    this.compiled = targetCodes.map(({ step }) => compileStep(step, 'target'));
    this.targets = orderedRows(needsTargets(spec, world.actions) ? assets : [], spec, world.random);
    this.strategy = spec.rollout.strategy ?? 'linear';
    this.maxConcurrency = program.maxConcurrency;
    this.maxFailures = failureLimit(spec.rollout.maxFailures, this.targets.length);
    this.isStrict = spec.rollout.strict === true;
    this.soakMs = program.rollout?.soakMs ?? 0;
  }

  get clock(): SimulatedClock {
    return this.world.clock;
  }
  get script(): Script {
    return this.world.script;
  }
  get actions(): ActionRegistry {
    return this.world.actions;
  }
  get id(): string {
    return `run-${this.number}`;
  }

  /** Once it has ended: what the run that called it may undo of it. */
  get remainingUndo(): readonly Undo[] {
    return remainingUndo(this.#program, this.#state);
  }

  start(): void {
    const { clock, inputs, targets, runbook } = this;
    this.startedAtMs = clock.nowMs;
    this.append({ kind: 'run-queued', data: { runbook, targetCount: targets.length } });
    clock.after(0, () => {
      this.append({ kind: 'run-started' });
      clock.after(this.#program.timeoutMs, () => this.#feed({ kind: 'timed-out' }));
      const run = { id: this.id, runbook, space: 'default' };
      this.#feed({ kind: 'started', inputs, targetCounts: countTargets(targets), run });
    });
  }

  append(entry: NewEntry): void {
    this.world.append(this, entry);
  }

  variables(
    target: TargetRow,
    { item, outputs: known = {} }: { readonly item: JsonObject; readonly outputs?: JsonObject | undefined },
  ): Variables {
    const { asset, outputs, error } = target;
    const run = { id: this.id, runbook: this.runbook, space: 'default' };
    const caught = error === null ? {} : { error: { ...error } };
    return { asset, inputs: this.inputs, steps: { ...known, ...outputs }, run, item, ...caught };
  }

  requestCancel(by: string): void {
    if (this.#isCancelRequested || this.finish !== null) return;
    this.#isCancelRequested = true;
    this.append({ kind: 'cancel-requested', data: { by, reason: null } });
    this.#feed({ kind: 'cancel-requested' });
  }

  /** A signal from outside; kept until something waits for it. */
  signal(name: string, payload: JsonValue): void {
    if (this.finish !== null) return;
    this.append({ kind: 'signal-sent', data: { signal: name } });
    for (const listener of this.listeners.values()) {
      if (listener.signal === name) return listener.take(payload);
    }
    this.mailbox.push({ name, payload });
  }

  /** One event after the other, each with all its commands. */
  #feed(event: EngineEvent): void {
    this.#events.push(event);
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        if (this.finish !== null) continue;
        const step = this.world.advance(this.#program, this.#state, next);
        this.#state = step.state;
        for (const command of step.commands) this.#carryOut(command);
      }
    } finally {
      this.#isDraining = false;
    }
  }

  /** Answers a command once. */
  answer(path: string, event: EngineEvent): void {
    if (!this.#open.delete(path)) return;
    this.#feed(event);
  }

  #carryOut(command: EngineCommand): void {
    switch (command.kind) {
      case 'skip-step':
        return this.#decided(command.path, 'skipped', null);
      case 'fail-step':
        return this.#decided(command.path, 'failed', { ...command.error });
      case 'note':
        return this.append({ kind: command.note, step: command.path, data: command.data });
      case 'free-capacity':
        return this.append({ kind: 'capacity-freed', step: command.path.replace(/#capacity$/, '') || null });
      case 'cancel':
        return this.#open.get(command.path)?.cancel();
      case 'finish':
        return this.#end(command);
      default:
        return this.#begin(command);
    }
  }

  #decided(step: string, state: 'skipped' | 'failed', error: JsonObject | null): void {
    this.append({ kind: 'step-ended', step, data: { attempt: 1, state, error } });
  }

  #begin(command: Exclude<Work, { kind: 'skip-step' | 'fail-step' | 'note' | 'free-capacity' | 'cancel' }>): void {
    const { path } = command;
    const answer = (event: EngineEvent): void => this.answer(path, event);
    switch (command.kind) {
      case 'dispatch-segment': {
        const segment = new SimulatedSegment(this, command, answer);
        this.#open.set(path, segment);
        return segment.start();
      }
      case 'run-control': {
        const control = new SimulatedControl(this, command, answer);
        this.#open.set(path, control);
        return control.start();
      }
      case 'undo-segment': {
        this.#open.set(path, { cancel: () => undefined });
        undoSegment(this, command, answer);
        return;
      }
      case 'undo-call': {
        this.#open.set(path, { cancel: () => undefined });
        return undoCall(this, command, answer);
      }
      case 'call':
        return this.#call(command, answer);
      default:
        // Set first: it may be answered at once.
        this.#open.set(path, { cancel: () => undefined });
        this.#open.set(path, simulatedWait(this, command, answer));
        if (!isWaitingStep(command) || this.script.cancelsAt?.({ runbook: this.runbook, path }) !== true) return;
        this.clock.after(0, () => {
          if (this.#open.has(path)) this.requestCancel('rehearsal');
        });
    }
  }

  #call(command: Extract<EngineCommand, { kind: 'call' }>, answer: (event: EngineEvent) => void): void {
    const { path } = command;
    this.append({ kind: 'step-started', step: path, data: { attempt: 1 } });
    const ended = (end: CalledEnd): void => {
      const { state, error = null } = end;
      const stored = error === null ? null : { ...error };
      this.append({ kind: 'step-ended', step: path, data: { attempt: 1, state, error: stored } });
      answer({ kind: 'ended', path, generation: 1, ...end });
    };
    const subject = calledSubject(this, command);
    if ('code' in subject) {
      this.#open.set(path, { cancel: () => undefined });
      this.clock.after(0, () => ended({ state: 'failed', error: subject }));
      return;
    }
    let isCancelling = false;
    const called = new SimulatedRun(this.world, subject, ({ finish }) =>
      ended(calledEnd(command, finish, isCancelling)),
    );
    this.called.set(path, called);
    const { number, targets } = called;
    this.append({
      kind: 'run-called',
      step: path,
      data: { run: number, runbook: command.runbook, targets: targets.length },
    });
    const cancel = (): void => {
      isCancelling = true;
      called.requestCancel('caller');
    };
    this.#open.set(path, { cancel });
    called.start();
  }

  /** The end of the run in the journal, with what becomes of targets that are still open. */
  #end(finish: Finish): void {
    this.finish = finish;
    this.endedAtMs = this.clock.nowMs;
    const { state, error = null, isComplete } = finish;
    const stopped = stoppedError(this, error?.code);
    for (const target of this.targets.filter(isOpen)) {
      if (!isComplete) tellLeftOpen(this, target);
      const last = openEnd(target, state, isComplete, stopped !== null);
      if (stopped !== null && last === 'cancelled') target.error = { ...stopped, step: '' };
      target.state = last;
      this.append({ kind: 'target-ended', target: target.name, data: { state: last } });
    }
    const rollback = finish.rollback === undefined ? {} : { rollback: { ...finish.rollback } };
    const data = { state, error: error === null ? null : { ...error }, ...rollback } as JsonObject;
    this.append({ kind: 'run-ended', data });
    this.#onEnd(this);
  }
}
