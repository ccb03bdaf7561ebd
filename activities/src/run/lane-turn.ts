import type { AttemptEnd, ClaimResult, LaneClaim, LogChunk, ParkedAttempt } from '@fettle/database';
import type { AttemptRequest } from './execute-attempt.js';

/** What one turn writes; a turn that is repeated after a lost connection leaves out what stands already. */
export interface Turn {
  readonly claim: LaneClaim;
  ends: readonly AttemptEnd[];
  logs: readonly LogChunk[];
  parked: readonly ParkedAttempt[];
  /** At most so many targets are claimed. */
  readonly wanted: number;
  /** Whether the run's gate and progress are read. */
  readonly looks: boolean;
  /** The segment was cancelled: only what runs detached is claimed, so that it can be stopped. */
  readonly isEnding: () => boolean;
  /** Assets of further claims that the lane knows of: they are in flight, or have ended meanwhile. */
  readonly known: () => readonly string[];
  /** The run's number after its logs; 0: nothing of it was sent yet. */
  lastSeq: number;
}

/** A claimed target with its decision and its token. */
export type Decided = Pick<
  AttemptRequest,
  'run' | 'target' | 'step' | 'path' | 'item' | 'known' | 'compiled' | 'asset' | 'prepared' | 'token'
> & {
  /** It was begun by the run that this one takes up, and runs detached on its host. */
  readonly isTakenUp: boolean;
};

/** *Started* stands in the journal, nothing is dispatched yet. */
export type Attempt = Decided &
  Pick<AttemptRequest, 'started' | 'undo'> & {
    /** Characters of its output that stand in the log. */
    readonly logged: Readonly<Record<'stdout' | 'stderr', number>>;
  };

export interface Written {
  /** Null: the run was not looked at. */
  readonly claim: ClaimResult | null;
  readonly attempts: readonly Attempt[];
}
