import type { ActionStep, Effect } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';

import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { retryDelayMs } from '../engine/decide-step.js';
import type { JsonObject } from '../json.js';
import {
  cancelledControl,
  CRASH_NOTICED_MS,
  faultAfterMs,
  outcomeOf,
  outcomeOfCrash,
  prepareInput,
  type Outcome,
} from './attempt.js';
import { stepIdOf } from './script.js';
import type { SegmentHost } from './simulated-segment.js';

type RunControl = Extract<EngineCommand, { kind: 'run-control' }>;

export type ControlHost = Pick<
  SegmentHost,
  'clock' | 'script' | 'actions' | 'runbook' | 'number' | 'append' | 'requestCancel'
> & {
  readonly inputs: JsonObject;
};

/** A step of the run with its attempts. */
export class SimulatedControl {
  readonly #host: ControlHost;
  readonly #command: RunControl;
  readonly #answer: (event: EngineEvent) => void;
  #generation: number;
  #abandon: () => void = () => undefined;
  /** An attempt has its start in the journal and not its end. */
  #isInFlight = false;
  #isOver = false;
  #isCancelled = false;
  #effect: Effect | 'none' = 'none';

  constructor(host: ControlHost, command: RunControl, answer: (event: EngineEvent) => void) {
    this.#host = host;
    this.#command = command;
    this.#answer = answer;
    this.#generation = command.generation;
  }

  start(): void {
    this.#host.append({ kind: `${this.#word}-started`, step: this.#step, data: { attempt: this.#generation } });
    this.#isInFlight = true;
    this.#execute(false);
  }

  /** What the journal calls the step. */
  get #step(): string {
    return this.#command.path.replace(/#undo$/, '');
  }

  get #word(): 'step' | 'undo' {
    return this.#command.phase === 'undo' ? 'undo' : 'step';
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#abandon();
    this.#isCancelled = true;
    if (this.#isInFlight) return this.#ended(cancelledControl(this.#effect));
    this.#isOver = true;
    const { path } = this.#command;
    this.#answer({ kind: 'ended', path, state: 'cancelled', generation: this.#generation });
  }

  #execute(isAgain: boolean): void {
    const { clock, actions, script, runbook, number: run, inputs } = this.#host;
    const { uses, input, outputs, timeoutMs, condition, phase = 'do' } = this.#command;
    const path = this.#step;
    const id = stepIdOf(path);
    const prepared = prepareInput(uses, input, undefined, `Input of step "${path}"`, actions);
    if (prepared.kind === 'over') {
      this.#abandon = clock.after(0, () => this.#ended(prepared.outcome));
      return;
    }
    const bounded = { ...prepared, timeoutMs: Math.min(timeoutMs, prepared.action.maxTimeoutMs) };
    const variables = { inputs } as unknown as Variables;
    const { effect } = prepared;
    this.#effect = effect;
    const attempt = this.#generation;
    const subject = { runbook, run, path, id, phase, target: null, attempt, uses } as const;
    const call = { ...subject, input: prepared.input, effect, variables };
    const scripted = script.attempt(call);
    const strikesMs = faultAfterMs(scripted, bounded);
    if (scripted.fault === 'crash' && !isAgain) {
      this.#abandon = clock.after(strikesMs + CRASH_NOTICED_MS, () => {
        const lost = outcomeOfCrash(effect, id);
        if (lost === null) this.#execute(true);
        else this.#ended(lost);
      });
      return;
    }
    const takesMs = Math.min(scripted.takesMs, bounded.timeoutMs);
    this.#abandon = clock.after(takesMs, () =>
      this.#ended(outcomeOf(scripted, bounded, { outputs, condition, isControl: true }, {})),
    );
    if (scripted.fault === 'cancel') clock.after(strikesMs, () => this.#host.requestCancel('rehearsal'));
  }

  #ended(outcome: Outcome): void {
    this.#isInFlight = false;
    const { path, retry } = this.#command;
    const { error, holds, output } = outcome;
    // A control step reaches its host through the worker: what it cannot reach has failed.
    const state = outcome.state === 'unreachable' || outcome.state === 'quarantined' ? 'failed' : outcome.state;
    const stored = error === null ? null : { ...error };
    const data = { attempt: this.#generation, state, error: stored };
    this.#host.append({ kind: `${this.#word}-ended`, step: this.#step, data });
    const tried = this.#generation - this.#command.generation + 1;
    const mayRetry = state === 'failed' && outcome.isFinal !== true && !this.#isCancelled;
    const delayMs = mayRetry ? delayOf(retry, tried) : null;
    if (delayMs !== null) {
      this.#abandon = this.#host.clock.after(delayMs, () => {
        this.#generation += 1;
        this.start();
      });
      return;
    }
    this.#isOver = true;
    this.#answer({
      kind: 'ended',
      path,
      state,
      ...(state === 'succeeded' ? { output } : {}),
      ...(error === null ? {} : { error }),
      ...(holds === undefined ? {} : { holds }),
      generation: this.#generation,
    });
  }
}

function delayOf(retry: ActionStep['retry'] | null, attempt: number): number | null {
  return retry === null ? null : retryDelayMs(retry, attempt);
}
