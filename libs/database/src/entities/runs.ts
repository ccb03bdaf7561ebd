import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Effect, RunState, StepState, TargetCounts, TargetState } from '@fettle/contracts';

/** A recorded failure: stable code, text for a person, never a secret. */
export interface StoredError {
  readonly code: string;
  readonly message: string;
  readonly remedy?: string | undefined;
  /** Path of the step, where a handler goes on with it. */
  readonly step?: string | undefined;
  /** Of an attempt: its effect has happened all the same; only its output could not be kept. */
  readonly effectDone?: true | undefined;
}

/** What a person found of an attempt that nobody knew the end of. */
export interface StoredResolution {
  readonly as: 'done' | 'not-done';
  readonly reason: string;
  /** Name of the principal. */
  readonly by: string;
  readonly at: string;
}

@Entity('run')
export class RunEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  @Column('text') runbook!: string;
  @Column('uuid', { name: 'version_id' }) versionId!: string;
  @Column('text') version!: string;
  @Column('text') state!: RunState;
  @Column('text', { name: 'workflow_id' }) workflowId!: string;
  @Column('text', { name: 'workflow_run_id', nullable: true }) workflowRunId!: string | null;
  @Column('jsonb') inputs!: Record<string, unknown>;
  @Column('text', { nullable: true }) selector!: string | null;
  @Column('text', { name: 'target_set_digest' }) targetSetDigest!: string;
  @Column('integer', { name: 'target_count' }) targetCount!: number;
  @Column('integer', { name: 'undetermined_count' }) undeterminedCount!: number;
  @Column('integer', { name: 'max_concurrency' }) maxConcurrency!: number;
  @Column('text') strategy!: 'linear' | 'free';
  /** Null: any number of targets may fail. */
  @Column('integer', { name: 'max_failures', nullable: true }) maxFailures!: number | null;
  @Column('boolean', { name: 'is_strict' }) isStrict!: boolean;
  @Column('integer', { name: 'wave_count' }) waveCount!: number;
  /** The wave that was started last, from 1. */
  @Column('integer', { nullable: true }) wave!: number | null;
  @Column('text', { name: 'wave_mark', nullable: true }) waveMark!: string | null;
  /** For each notification of the runbook the states that it is about. */
  @Column('jsonb', { nullable: true }) notify!: readonly (readonly string[])[] | null;
  @Column('jsonb') counts!: TargetCounts;
  @Column('bigint') seq!: number;
  @Column('text', { name: 'idempotency_key', nullable: true }) idempotencyKey!: string | null;
  @Column('text', { name: 'request_digest', nullable: true }) requestDigest!: string | null;
  @Column('uuid', { name: 'requested_by' }) requestedBy!: string;
  @Column('uuid', { name: 'schedule_id', nullable: true }) scheduleId!: string | null;
  @Column('timestamptz', { name: 'fire_at', nullable: true }) fireAt!: Date | null;
  @Column('text', { nullable: true }) reason!: string | null;
  @Column('jsonb', { nullable: true }) error!: StoredError | null;
  @Column('timestamptz', { name: 'cancel_requested_at', nullable: true }) cancelRequestedAt!: Date | null;
  @Column('text', { name: 'cancel_requested_by', nullable: true }) cancelRequestedBy!: string | null;
  @Column('text', { name: 'cancel_reason', nullable: true }) cancelReason!: string | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt!: Date;
  @Column('timestamptz', { name: 'started_at', nullable: true }) startedAt!: Date | null;
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt!: Date | null;
  @Column('timestamptz', { name: 'deadline_at' }) deadlineAt!: Date;
  /** Set where another run called this one, with the path of the step that did. */
  @Column('uuid', { name: 'parent_run_id', nullable: true }) parentRunId!: string | null;
  @Column('text', { name: 'parent_path', nullable: true }) parentPath!: string | null;
  /** How many runs are above it. */
  @Column('integer') depth!: number;
  /** Runbook -> digest of the version that calls use; null: it calls none. */
  @Column('jsonb', { nullable: true }) closure!: Record<string, string> | null;
  @Column('jsonb', { nullable: true }) outputs!: Record<string, unknown> | null;
  @Column('text', { nullable: true }) summary!: string | null;
  @Column('integer', { name: 'segment_mark' }) segmentMark!: number;
  @Column('integer', { name: 'decision_mark' }) decisionMark!: number;
  /** Of the worker that took it up first. */
  @Column('text', { name: 'engine_version', nullable: true }) engineVersion!: string | null;
  /** Build of that worker where workers are versioned; null: they are not. */
  @Column('text', { name: 'worker_build', nullable: true }) workerBuild!: string | null;
  /** The end for which its history is archived. */
  @Column('timestamptz', { name: 'history_ended_at', nullable: true }) historyEndedAt!: Date | null;
  /** Paths of what was undone and of what could not be; null: there was no rollback. */
  @Column('jsonb', { nullable: true }) rollback!: { readonly undone: string[]; readonly failed: string[] } | null;
  /** Of a called run: what its caller may still undo of it; null: nobody called it, it goes on, or was lost. */
  @Column('jsonb', { nullable: true }) undo!: readonly unknown[] | null;
  /** When its caller began to undo it; null: it did not. */
  @Column('timestamptz', { name: 'undone_at', nullable: true }) undoneAt!: Date | null;
  /** What of it may be undone once it has ended otherwise than well, or by its caller. */
  @Column('text') undoes!: 'nothing' | 'unfinished' | 'all';
  /** Some of its steps on targets can be undone. */
  @Column('boolean', { name: 'has_undo' }) hasUndo!: boolean;
  /** The ended run that this one takes up, or makes again. */
  @Column('uuid', { nullable: true }) continues!: string | null;
  @Column('text', { name: 'continued_how', nullable: true }) continuedHow!: 'resume' | 'retry' | null;
  /** Of a resumed run: what is known of the steps of the run itself. */
  @Column('jsonb', { nullable: true }) memo!: unknown;
  /** Calendars that it names, what its targets do on a close, and an override; null: as by default. */
  @Column('jsonb', { nullable: true }) calendar!: unknown;
  /** The whole run waits until then. */
  @Column('timestamptz', { name: 'opens_at', nullable: true }) opensAt!: Date | null;
  /** Nothing of it can go on since then, and its deadline stands still. */
  @Column('timestamptz', { name: 'closed_since', nullable: true }) closedSince!: Date | null;
  /** How long, since it was taken up, nothing of it could go on; without what `closed_since` tells of. */
  @Column('bigint', { name: 'closed_ms' }) closedMs!: string;
}

@Entity('run_target')
export class RunTargetEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('uuid', { name: 'asset_id' }) assetId!: string;
  @Column('text', { name: 'asset_name' }) assetName!: string;
  @Column('integer') wave!: number;
  @Column('text') state!: TargetState;
  @Column('integer', { name: 'step_index' }) stepIndex!: number;
  @Column('integer') generation!: number;
  /** Failures that are put off until it has been through a `finally`, a bit for each one around the step. */
  @Column('integer') failing!: number;
  /** What became of undoing its steps; null: nothing was to be undone. */
  @Column('text', { nullable: true }) rollback!: 'undone' | 'incomplete' | null;
  /** Path of the step at which a cancel stopped it in the middle of a `try`. */
  @Column('text', { name: 'stopped_at', nullable: true }) stoppedAt!: string | null;
  /** Paths of the steps of `finally` that it did not come to; null: nothing is left. */
  @Column('jsonb', { name: 'finally_left', nullable: true }) finallyLeft!: string[] | null;
  @Column('integer', { nullable: true }) lane!: number | null;
  @Column('integer', { name: 'lane_epoch', nullable: true }) laneEpoch!: number | null;
  @Column('timestamptz', { name: 'due_at' }) dueAt!: Date;
  /** A command runs detached on the host and is looked at again when due; it counts as in flight. */
  @Column('boolean', { name: 'is_parked' }) isParked!: boolean;
  /** The calendar that it waits for until it is due. */
  @Column('jsonb', { nullable: true }) closed!: unknown;
  @Column('jsonb') outputs!: Record<string, unknown>;
  @Column('jsonb', { nullable: true }) error!: StoredError | null;
  @Column('timestamptz', { name: 'started_at', nullable: true }) startedAt!: Date | null;
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt!: Date | null;
}

@Entity('run_step')
export class RunStepEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('uuid', { name: 'asset_id' }) assetId!: string;
  @PrimaryColumn('text') step!: string;
  @PrimaryColumn('text') phase!: 'do' | 'undo';
  @PrimaryColumn('integer') generation!: number;
  @Column('integer', { name: 'lane_epoch' }) laneEpoch!: number;
  @Column('text') token!: string;
  /** What the attempt may do, as decided when it started. */
  @Column('text') effect!: Effect | 'none';
  @Column('boolean') detached!: boolean;
  /** Rises with each claim of a detached attempt. */
  @Column('integer') fence!: number;
  @Column('text', { nullable: true }) place!: string | null;
  @Column('text') state!: StepState;
  @Column('integer', { name: 'exit_code', nullable: true }) exitCode!: number | null;
  @Column('jsonb', { nullable: true }) error!: StoredError | null;
  @Column('jsonb', { nullable: true }) output!: unknown;
  /** Of a step that is repeated until a condition holds: whether it did. */
  @Column('boolean', { nullable: true }) holds!: boolean | null;
  @Column('timestamptz', { name: 'started_at' }) startedAt!: Date;
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt!: Date | null;
  /** The run that made the attempt; null: this one. */
  @Column('uuid', { name: 'carried_from', nullable: true }) carriedFrom!: string | null;
  @Column('jsonb', { nullable: true }) resolution!: StoredResolution | null;
}

@Entity('lane')
export class LaneEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('integer') number!: number;
  @Column('integer') epoch!: number;
  @Column('text') worker!: string;
  @Column('timestamptz', { name: 'opened_at' }) openedAt!: Date;
}

@Entity('entry')
export class EntryEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('bigint') seq!: number;
  @Column('timestamptz') at!: Date;
  @Column('text') kind!: string;
  @Column('uuid', { name: 'asset_id', nullable: true }) assetId!: string | null;
  @Column('text', { nullable: true }) step!: string | null;
  @Column('jsonb') data!: Record<string, unknown>;
}

@Entity('run_log')
export class RunLogEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('bigint') seq!: number;
  @Column('timestamptz') at!: Date;
  @Column('uuid', { name: 'asset_id' }) assetId!: string;
  @Column('text') step!: string;
  @Column('integer') generation!: number;
  @Column('text') stream!: 'stdout' | 'stderr' | 'note';
  /** Number of the chunk's first line in its stream, from 1; a chunk may continue a line. */
  @Column('bigint') line!: number;
  @Column('text') body!: string;
}

/** What a run waits for outside of itself. */
@Entity('run_wait')
export class RunWaitEntity {
  @PrimaryColumn('uuid', { name: 'run_id' }) runId!: string;
  @PrimaryColumn('text') path!: string;
  @Column('text') kind!: 'call' | 'signal';
  /** Of the runbook or the signal. */
  @Column('text') name!: string;
  @Column('uuid', { name: 'child_run_id', nullable: true }) childRunId!: string | null;
  @Column('timestamptz', { name: 'opened_at' }) openedAt!: Date;
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt!: Date | null;
  @Column('jsonb', { nullable: true }) result!: unknown;
}

@Entity('run_signal')
export class RunSignalEntity {
  @PrimaryColumn('uuid') id!: string;
  @Column('uuid', { name: 'run_id' }) runId!: string;
  @Column('text') name!: string;
  @Column('jsonb') payload!: unknown;
  @Column('text', { name: 'sent_by' }) sentBy!: string;
  @Column('timestamptz', { name: 'sent_at' }) sentAt!: Date;
  @Column('text', { name: 'taken_by', nullable: true }) takenBy!: string | null;
}
