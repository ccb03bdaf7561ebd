import type { Effect } from '@fettle/contracts';
import type { Variables } from '@fettle/expression';
import type { StepError } from '../engine/decide-step.js';
import type { JsonObject, JsonValue } from '../json.js';

/** One attempt that is about to begin. */
export interface ScriptedCall {
  readonly runbook: string;
  /** Number of the run, as its entries have it. */
  readonly run: number;
  readonly path: string;
  /** Id of the step that `path` is an instance of. */
  readonly id: string;
  /** `undo`: the step's rollback. */
  readonly phase: 'do' | 'undo';
  /** Name of the asset; null: the run itself. */
  readonly target: string | null;
  readonly attempt: number;
  readonly uses: string;
  /** After defaults of the action's schema. */
  readonly input: unknown;
  readonly effect: Effect;
  /** What expressions of the step see. */
  readonly variables: Variables;
}

export type AttemptState = 'succeeded' | 'failed' | 'unreachable' | 'quarantined' | 'unknown';

/** What an attempt comes to. */
export interface ScriptedEnd {
  readonly state: AttemptState;
  readonly exitCode: number | null;
  readonly error: StepError | null;
  /** The action's output, before the step's `outputs`. */
  readonly result: JsonValue;
  readonly takesMs: number;
  /** Goes wrong while it is in flight. */
  readonly fault?: 'crash' | 'cancel' | undefined;
}

export interface ScriptedDecision {
  readonly decision: 'approve' | 'reject';
  readonly by: string;
  readonly reason: string | null;
  readonly afterMs: number;
}

export interface ScriptedSignal {
  readonly name: string;
  readonly payload: JsonValue;
  /** Since the start of the run. */
  readonly afterMs: number;
}

/** All of a key, in simulated time since 1970. */
export interface HeldCapacity {
  readonly key: string;
  readonly fromMs: number;
  /** Null: for ever. */
  readonly toMs: number | null;
}

/** The world outside of a rehearsed run. */
export interface Script {
  attempt(call: ScriptedCall): ScriptedEnd;
  /** None: nobody decides. */
  decisions(question: { readonly runbook: string; readonly path: string }): readonly ScriptedDecision[];
  /** Whether somebody cancels the run while it waits there; absent: nobody. */
  cancelsAt?(wait: { readonly runbook: string; readonly path: string }): boolean;
  /** What comes from outside to the rehearsed run itself. */
  readonly signals: readonly ScriptedSignal[];
  /** What runs hold that are not rehearsed; absent: nothing. */
  readonly held?: readonly HeldCapacity[] | undefined;
}

/** Id of the step that a path is an instance of: `each[ber]/deploy!recover/undo` -> `undo`. */
export function stepIdOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** `with` and outputs are JSON by construction. */
export function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
