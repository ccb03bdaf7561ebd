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
  /** Other segments may follow, so that targets that leave this one stay open. */
  readonly isLast?: boolean;
  /** Of a `finally`: a cancel of the run does not stop it. */
  readonly shielded?: boolean;
}
