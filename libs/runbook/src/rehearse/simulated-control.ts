import { FettleError, type ActionStep } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';

import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import { conditionHolds, retryDelayMs, type StepError } from '../engine/decide-step.js';
import type { JsonObject } from '../json.js';
import {
  cancelledOutcome,
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

export type ControlHost = Pick<SegmentHost, 'clock' | 'script' | 'actions' | 'runbook' | 'append' | 'requestCancel'> & {
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

  constructor(host: ControlHost, command: RunControl, answer: (event: EngineEvent) => void) {
    this.#host = host;
    this.#command = command;
    this.#answer = answer;
    this.#generation = command.generation;
  }

  start(): void {
    const { path } = this.#command;
    this.#host.append({ kind: 'step-started', step: path, data: { attempt: this.#generation } });
    this.#isInFlight = true;
    this.#execute(false);
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#abandon();
    if (this.#isInFlight) return this.#ended({ ...cancelledOutcome, output: null });
    this.#isOver = true;
    const { path } = this.#command;
    this.#answer({ kind: 'ended', path, state: 'cancelled', generation: this.#generation });
  }

  #execute(isAgain: boolean): void {
    const { clock, actions, script, runbook, inputs } = this.#host;
    const { path, uses, input, outputs, timeoutMs } = this.#command;
    const id = stepIdOf(path);
    const prepared = prepareInput(uses, input, undefined, `Input of step "${path}"`, actions);
    if (prepared.kind === 'over') {
      this.#abandon = clock.after(0, () => this.#ended(prepared.outcome));
      return;
    }
    const bounded = { ...prepared, timeoutMs: Math.min(timeoutMs, prepared.action.maxTimeoutMs) };
    const variables = { inputs } as unknown as Variables;
    const { effect } = prepared;
    const attempt = this.#generation;
    const call = { runbook, path, id, target: null, attempt, uses, input: prepared.input, effect, variables };
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
      this.#ended(outcomeOf(scripted, bounded, { outputs, isControl: true }, {})),
    );
    if (scripted.fault === 'cancel') clock.after(strikesMs, () => this.#host.requestCancel('rehearsal'));
  }

  #ended(outcome: Outcome): void {
    this.#isInFlight = false;
    const { path, retry, condition } = this.#command;
    const { output } = outcome;
    // A control step reaches its host through the worker: what it cannot reach has failed.
    const state = outcome.state === 'unreachable' || outcome.state === 'quarantined' ? 'failed' : outcome.state;
    let error = outcome.error;
    let holds: boolean | undefined;
    let ended: typeof state = state;
    if (condition !== undefined && state === 'succeeded') {
      try {
        holds = conditionHolds(condition, { result: output });
      } catch (failure) {
        if (!(failure instanceof FettleError)) throw failure;
        [ended, error] = ['failed', { code: failure.code, message: failure.message }];
      }
    }
    const stored = error === null ? null : { ...error };
    const data = { attempt: this.#generation, state: ended, error: stored };
    this.#host.append({ kind: 'step-ended', step: path, data });
    const delayMs = ended === 'failed' && outcome.isFinal !== true ? delayOf(retry, this.#generation) : null;
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
      state: ended,
      ...(ended === 'succeeded' ? { output } : {}),
      ...(error === null ? {} : { error: error satisfies StepError }),
      ...(holds === undefined ? {} : { holds }),
      generation: this.#generation,
    });
  }
}

function delayOf(retry: ActionStep['retry'] | null, attempt: number): number | null {
  return retry === null ? null : retryDelayMs(retry, attempt);
}
