import type { JsonObject } from '../json.js';
import type { StepError } from './decide-step.js';
import type { ControlRollback } from './program-nodes.js';

/** Something that was begun and can be undone; registered before it is dispatched. JSON. */
export type Undo =
  | {
      readonly kind: 'targets';
      readonly path: string;
      readonly prefix: string;
      readonly item: JsonObject;
      /** Of steps of the run that its steps read; absent: none. */
      readonly outputs?: JsonObject | undefined;
      readonly first: number;
      readonly last: number;
    }
  | {
      readonly kind: 'control';
      readonly path: string;
      readonly action: Pick<ControlRollback, 'uses' | 'actionVersion' | 'retry' | 'timeoutMs'>;
      /** Rendered when the step ended; null: it has not, or could not be. */
      readonly input: JsonObject | null;
      readonly error?: StepError | undefined;
      /** Nobody knows whether it happened: a person decides. */
      readonly isUnknown?: true | undefined;
    }
  | {
      readonly kind: 'call';
      /** Of the step that calls. */
      readonly path: string;
      /** The called run acts on targets of this one: where only some of these are undone, it is undone on them. */
      readonly isInherited: boolean;
    };

/**
 * What is undone: `failed`: on targets that ended otherwise than well, and nothing else; `unfinished`: those, targets that are still
 * open, and steps of the run; `all`: any.
 */
export type UndoReach = 'failed' | 'unfinished' | 'all';

/** Of what a run began, what is undone; the rest stays. */
export function undoneBy(reach: UndoReach, undo: readonly Undo[]): readonly Undo[] {
  // Where only targets failed, steps of the run stand.
  if (reach !== 'failed') return undo;
  return undo.filter((one) => one.kind === 'targets' || (one.kind === 'call' && one.isInherited));
}
