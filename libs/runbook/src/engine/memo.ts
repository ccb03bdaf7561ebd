import type { JsonValue } from '../json.js';
import type { StepError } from './decide-step.js';

/** What became of a step of the run itself before this run took it up. */
export interface KnownEnd {
  readonly state: 'succeeded' | 'skipped' | 'failed';
  readonly output?: JsonValue | undefined;
  /** Of one that failed: why. Only failures that the run went on after are known. */
  readonly error?: StepError | undefined;
}

/** What a resumed run knows from the one that it takes up: JSON. Steps are named by their path. */
export interface Memo {
  readonly ends: Readonly<Record<string, KnownEnd>>;
  /** Of each `choose` that was decided: the number of its branch. */
  readonly chosen: Readonly<Record<string, number>>;
}

export const emptyMemo: Memo = { ends: {}, chosen: {} };
