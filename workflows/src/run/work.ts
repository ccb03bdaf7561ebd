import type { ClaimedRun } from '@fettle/activities';
import type { EngineEvent, WorkCommand } from '@fettle/runbook';

/** What carrying out a command needs of the run around it. */
export interface Work {
  readonly runId: string;
  readonly claimed: ClaimedRun;
  /** The history has grown long: whatever can rest until the next execution does. */
  readonly isResting: boolean;
  /** The run was cancelled; what found out first tells. */
  noticeCancel(): void;
  /** The step of that path has asked people, and nothing of it is under way. */
  noticeAsked(path: string): void;
  hasWake(path: string): boolean;
  /** True: the step of that path was woken since this was asked last. */
  takeWake(path: string): boolean;
}

/** A command that the engine waits for. */
export interface OpenWork {
  readonly command: WorkCommand;
  /** When it comes to its end by itself, in milliseconds since 1970; null: never. */
  readonly deadlineMs: number | null;
  /** The engine has cancelled it. */
  readonly isCancelling: boolean;
}

export type CommandOf<Kind extends WorkCommand['kind']> = Extract<WorkCommand, { kind: Kind }>;
export type OpenOf<Command extends WorkCommand> = OpenWork & { readonly command: Command };
export type Settled = EngineEvent | 'resting';
