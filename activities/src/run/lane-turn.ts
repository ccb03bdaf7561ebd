import type { AttemptEnd, ClaimResult, LogChunk, ParkedAttempt } from '@fettle/database';
import type { AttemptRequest } from './execute-attempt.js';

/** What one turn writes; a turn that is repeated after a lost connection leaves out what stands already. */
export interface Turn {
  ends: readonly AttemptEnd[];
  logs: readonly LogChunk[];
  parked: readonly ParkedAttempt[];
  /** At most so many targets are claimed. */
  readonly wanted: number;
  /** Whether the run's gate and progress are read. */
  readonly looks: boolean;
  /** The run's number after ends and logs; 0: they were not sent yet. */
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
