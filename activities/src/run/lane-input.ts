import type { JsonObject } from '@fettle/runbook';

/** One lane of a segment, as the workflow asks for it. */
export interface LaneInput {
  readonly runId: string;
  readonly lane: number;
  /** Indexes of the segment's first and last step among all target steps, inclusive. */
  readonly firstStep: number;
  readonly lastStep: number;
  /** Number of the wave, from 1; absent: the run has none, and all targets are in the first. */
  readonly wave?: number;
  /** Before the path of each step in the journal: the iterations around the segment. */
  readonly prefix?: string;
  /** What expressions read of them. */
  readonly item?: JsonObject;
  /** What its steps read of steps of the run: outputs by id. */
  readonly outputs?: JsonObject;
  /** Other segments may follow, so that targets that leave this one stay open. */
  readonly isLast?: boolean;
  /** Of a `finally`: a cancel of the run does not stop it. */
  readonly shielded?: boolean;
  /** The segment was cancelled: only the targets that it stopped in the middle of a `try`, and only through its `finally`. */
  readonly onlyFinally?: boolean;
  /** The run is about to end: what runs detached is stopped, and nothing is begun. */
  readonly isEnding?: boolean;
}

export interface LaneReport {
  /** All targets of the wave have left the segment. */
  readonly done: boolean;
  /** The run is no longer running; nothing more was claimed. */
  readonly stopped: boolean;
  /** Milliseconds until the next target is due; null: look again at once. */
  readonly nextDueMs: number | null;
}

export interface LaneHooks {
  /** Aborted when the run is cancelled: commands in flight are ended on their hosts. */
  readonly cancelled: AbortSignal;
  /** True when this worker is about to stop: what is in flight ends, nothing new is claimed. */
  readonly draining: () => boolean;
}
