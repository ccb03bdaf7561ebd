import type { ActionStep, ApprovalStep, TargetCounts } from '@fettle/contracts';
import type { JsonObject, JsonValue } from '../json.js';
import type { StepError } from './decide-step.js';
import type { UndoReach } from './undo.js';

/** One wave of a rollout, from 1. */
export interface WaveReference {
  readonly number: number;
  readonly of: number;
}

/** What expressions read of the iterations around a step: `item.<as>`. Small, not secret. */
export type ItemScope = JsonObject;

export interface RunError extends StepError {
  /** Path of the step that failed, where it is one. */
  readonly stepId?: string | undefined;
}

/** Under a `finally`: carried out although the run is being cancelled. */
export interface Shielded {
  readonly shielded?: true | undefined;
}

/**
 * What the host is to do. `path` names the instance of a node: unique among everything that is open. Those marked *awaited* are
 * answered by one event with the same path (unless a `cancel` of the path makes the host drop them, which is answered, too).
 */
export type EngineCommand = WorkCommand | ControlCommand;

/** Commands that are carried out in the world. */
export type WorkCommand = Shielded &
  /** Awaited (`segment-ended`). Only one is open at a time. */
  (
    | {
        readonly kind: 'dispatch-segment';
        readonly path: string;
        /** Before the path of each step in the journal: the iterations around the segment; '' at the top. */
        readonly prefix: string;
        readonly item: ItemScope;
        /** What its steps read of steps of the run: outputs by id; absent: nothing. */
        readonly outputs?: JsonObject | undefined;
        /** Paths of the segment's steps without the prefix. */
        readonly stepIds: readonly string[];
        /** Indexes among all target steps, inclusive. */
        readonly first: number;
        readonly last: number;
        /** Open targets are not all at `first`, because the way did not lead straight there: they are to be moved. */
        readonly enters: boolean;
        /** Counts the dispatches of segments of the run, so that entering one is done once. */
        readonly ordinal: number;
        /** Targets that leave it have come to their end. */
        readonly isLast: boolean;
        /** Only the targets of this wave; absent: all of them. */
        readonly wave?: WaveReference | undefined;
        /**
         * It was cancelled, and those of its targets that stand in the middle of a `try` go through its `finally`, and nothing else. What
         * is not done by then is left, and said. Absent: the segment itself.
         */
        readonly onlyFinally?: { readonly limitMs: number } | undefined;
      }
    /** Awaited (`waited`). Lets time pass: after a wave, between two looks, in a step. */
    | {
        readonly kind: 'wait';
        readonly path: string;
        readonly durationMs: number;
        readonly wave?: number | undefined;
        /** Set where it is a step of its own, which has its start and its end in the journal. */
        readonly isStep?: boolean | undefined;
      }
    /** Awaited (`waited`, or `ended` as failed where `until` is no moment). */
    | { readonly kind: 'wait-until'; readonly path: string; readonly until: string }
    /** Awaited (`ended`). */
    | {
        readonly kind: 'run-control';
        readonly path: string;
        readonly uses: string;
        readonly actionVersion: number;
        /** `with` after rendering; the activity checks it against the action's schema. */
        readonly input: JsonObject;
        readonly outputs: Readonly<Record<string, string>> | null;
        readonly retry: ActionStep['retry'] | null;
        readonly timeoutMs: number;
        /** Number of the first attempt in the journal; more than 1 where the step is repeated until a condition holds. */
        readonly generation: number;
        /** Absent: the step itself. `undo`: what was done is undone; the path has `#undo` at its end, which the journal's does not. */
        readonly phase?: 'undo' | undefined;
        /** Repeated until this is true of its `result`: the event says in `holds` whether it is. */
        readonly condition?: string | undefined;
      }
    /**
     * Awaited (`ended`; failed with `rollback-incomplete` where something could not be undone). The steps of a segment that have a
     * rollback and were started are undone on each target, the last first.
     */
    | {
        readonly kind: 'undo-segment';
        /** The segment's path with `#undo` at its end. */
        readonly path: string;
        readonly prefix: string;
        readonly item: ItemScope;
        /** As its steps read them. */
        readonly outputs?: JsonObject | undefined;
        readonly first: number;
        readonly last: number;
        readonly which: UndoReach;
      }
    /**
     * Awaited (`ended`; `skipped` where there is nothing to undo, failed with `rollback-incomplete` where something could not be).
     * What the run did that a step called is undone, in reverse order.
     */
    | {
        readonly kind: 'undo-call';
        /** Of the step that called, with `#undo` at its end. */
        readonly path: string;
        readonly which: UndoReach;
      }
    /** Awaited (`ended`, with the called runbook's outputs). */
    | {
        readonly kind: 'call';
        readonly path: string;
        readonly runbook: string;
        readonly version: string | null;
        /** Rendered. */
        readonly inputs: JsonObject;
        readonly targets: 'own' | 'inherit';
        readonly on: string | null;
        readonly outputs: Readonly<Record<string, string>> | null;
      }
    /** Awaited (`ended`: succeeded = approved; failed with `approval-rejected`, `approval-expired` or `plan-drift`). */
    | {
        readonly kind: 'ask-approval';
        readonly path: string;
        readonly approval: ApprovalStep['approval'];
        /** Rendered. */
        readonly message: string | null;
      }
    /** Awaited (`ended`, with the payload; failed with `signal-timeout`). */
    | {
        readonly kind: 'await-signal';
        readonly path: string;
        readonly signal: string;
        readonly payload: JsonObject;
        readonly timeoutMs: number;
        readonly outputs: Readonly<Record<string, string>> | null;
      }
    /** Awaited (`ended`). `path` has `#capacity` at its end. */
    | {
        readonly kind: 'take-capacity';
        readonly path: string;
        readonly wants: readonly { readonly key: string; readonly units: number }[];
      }
  );

/** Commands that are carried out at once, and that nothing answers. */
export type ControlCommand =
  | { readonly kind: 'free-capacity'; readonly path: string }
  /** Ends what is open under that path; it is answered as usual (a segment by `segment-ended`, all else by `ended` as cancelled). */
  | { readonly kind: 'cancel'; readonly path: string }
  /** A step's condition is false. */
  | { readonly kind: 'skip-step'; readonly path: string }
  /** The step cannot even start: a condition is undetermined, or its input cannot be rendered. */
  | { readonly kind: 'fail-step'; readonly path: string; readonly error: StepError }
  /** Something for the journal: which branch was chosen, that an iteration begins, that a failure was caught. */
  | { readonly kind: 'note'; readonly path: string; readonly note: string; readonly data: JsonObject }
  /** The last command of a run; there is exactly one. */
  | {
      readonly kind: 'finish';
      readonly state: 'succeeded' | 'failed' | 'cancelled' | 'timed-out';
      readonly error?: RunError | undefined;
      /** The way was gone to its end: targets that are still open have come through. */
      readonly isComplete: boolean;
      readonly outputs: JsonObject | null;
      readonly summary: string | null;
      /** What became of the rollback; absent: there was none. */
      readonly rollback?: RollbackReport | undefined;
    };

/** Paths of steps, those of segments by their first one. */
export interface RollbackReport {
  readonly undone: readonly string[];
  readonly failed: readonly string[];
}

export type EngineEvent =
  | {
      readonly kind: 'started';
      /** With defaults. */
      readonly inputs: JsonObject;
      readonly targetCounts: TargetCounts;
      /** Small facts of the run for expressions, e.g. `{id, runbook}`. */
      readonly run?: JsonObject | undefined;
    }
  /** `counts` are those of all targets of the run; targets that go on to later segments are `pending`. */
  | {
      readonly kind: 'segment-ended';
      readonly path: string;
      readonly counts: TargetCounts;
      /** Number of the wave that was dispatched; absent where the command had none. */
      readonly wave?: number | undefined;
      /** True: no target of the wave was left, so that there is nothing to wait for before the next. */
      readonly isEmpty?: boolean | undefined;
      /** It was ended by a `cancel`. */
      readonly isCancelled?: boolean | undefined;
    }
  | { readonly kind: 'waited'; readonly path: string; readonly wave?: number | undefined }
  | {
      readonly kind: 'ended';
      readonly path: string;
      readonly state: 'succeeded' | 'failed' | 'skipped' | 'cancelled' | 'unknown';
      /** As `stepOutputs` makes it of the result. */
      readonly output?: JsonValue | undefined;
      readonly error?: StepError | undefined;
      /** Of a step that is repeated until its condition holds. */
      readonly holds?: boolean | undefined;
      /** Number of the last attempt in the journal. */
      readonly generation?: number | undefined;
    }
  | { readonly kind: 'cancel-requested' }
  | { readonly kind: 'timed-out' };
