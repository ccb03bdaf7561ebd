import type { fireOutcomes } from '@fettle/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('schedule')
export class ScheduleEntity {
  /** The id of its document. */
  @PrimaryColumn('uuid') id!: string;
  @Column('text') space!: string;
  @Column('text') name!: string;
  /** On whose behalf its runs start. */
  @Column('uuid', { name: 'created_by' }) createdBy!: string;
  /** Every nominal instant up to and including this one has its row in `fire`. */
  @Column('timestamptz') watermark!: Date;
  @Column('timestamptz', { name: 'next_at', nullable: true }) nextAt!: Date | null;
  @Column('timestamptz', { name: 'paused_at', nullable: true }) pausedAt!: Date | null;
  @Column('text', { name: 'paused_by', nullable: true }) pausedBy!: string | null;
  @Column('text', { name: 'pause_reason', nullable: true }) pauseReason!: string | null;
  @Column('text', { name: 'quarantine_reason', nullable: true }) quarantineReason!: string | null;
  /** Since when it has been due as it is now; null: since before this was recorded. */
  @Column('timestamptz', { name: 'counted_from', nullable: true }) countedFrom!: Date | null;
  @Column('timestamptz', { name: 'paused_until', nullable: true }) pausedUntil!: Date | null;
  /** A run that failed after this pauses it; null: none does. */
  @Column('timestamptz', { name: 'failures_from', nullable: true }) failuresFrom!: Date | null;
  /** When to settle it beside its instants. */
  @Column('timestamptz', { name: 'attend_at', nullable: true }) attendAt!: Date | null;
  /** Fires that wait, and those of them that are queued. */
  @Column('integer') waiting!: number;
  @Column('integer') queued!: number;
  @Column('timestamptz', { name: 'compared_at', nullable: true }) comparedAt!: Date | null;
  /** Last instant that Temporal has an explicit entry for. */
  @Column('timestamptz', { name: 'placed_until', nullable: true }) placedUntil!: Date | null;
  /** What of Temporal's wakes it; null: it was never placed by a version that knows of it. */
  @Column('text', { name: 'wake_id', nullable: true }) wakeId!: string | null;
  @Column('integer') differences!: number;
  @Column('text', { name: 'last_difference', nullable: true }) lastDifference!: string | null;
  /** The notifications of its document: a list of on, uses and with; null: nobody is told. */
  @Column('jsonb', { nullable: true }) notify!: readonly Readonly<Record<string, unknown>>[] | null;
  /** The schedule of the same space that it follows, and since when. */
  @Column('text', { name: 'after_name', nullable: true }) afterName!: string | null;
  @Column('timestamptz', { name: 'after_from', nullable: true }) afterFrom!: Date | null;
  /** So long after an instant its run must have started, and finished. */
  @Column('bigint', { name: 'must_start_ms', nullable: true }) mustStartMs!: number | null;
  @Column('bigint', { name: 'must_finish_ms', nullable: true }) mustFinishMs!: number | null;
}

export type FireOutcome = (typeof fireOutcomes)[number];
export type FireSource = 'nominal' | 'trigger' | 'backfill' | 'after';

@Entity('fire')
export class FireEntity {
  @PrimaryColumn('uuid', { name: 'schedule_id' }) scheduleId!: string;
  @PrimaryColumn('timestamptz', { name: 'nominal_at' }) nominalAt!: Date;
  @PrimaryColumn('text') source!: FireSource;
  @Column('text') outcome!: FireOutcome;
  @Column('text') code!: string;
  @Column('text') reason!: string;
  /** Instants in a row that it stands for, and the last of them where there are several. */
  @Column('integer') instants!: number;
  @Column('timestamptz', { name: 'last_nominal_at', nullable: true }) lastNominalAt!: Date | null;
  @Column('text', { nullable: true }) waited!: 'queued' | 'deferred' | null;
  @Column('timestamptz', { name: 'due_at', nullable: true }) dueAt!: Date | null;
  @Column('jsonb') evidence!: Readonly<Record<string, unknown>>;
  /** Who triggered it or filled it in; null: an instant of the schedule. */
  @Column('uuid', { name: 'requested_by', nullable: true }) requestedBy!: string | null;
  @Column('text', { name: 'request_key', nullable: true }) requestKey!: string | null;
  @Column('uuid', { name: 'run_id', nullable: true }) runId!: string | null;
  @Column('timestamptz', { name: 'settled_at' }) settledAt!: Date;
}
