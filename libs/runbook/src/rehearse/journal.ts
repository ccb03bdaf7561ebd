import type { JsonObject } from '../json.js';

/** An entry as the journal of a run has it; a rehearsal names assets where that has their ids. */
export interface RehearsedEntry {
  /** From 1, over the run and those that it calls. */
  readonly seq: number;
  /** Simulated time since the rehearsed run was started. */
  readonly atMs: number;
  /** Number of the run: 1 for the rehearsed one, then those called in their order. */
  readonly run: number;
  readonly runbook: string;
  readonly kind: string;
  readonly target: string | null;
  /** Path of the step. */
  readonly step: string | null;
  readonly data: JsonObject;
}

export interface NewEntry {
  readonly kind: string;
  readonly target?: string | null;
  readonly step?: string | null;
  readonly data?: JsonObject;
}
