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
}

export const fireOutcomes = ['fired', 'skipped', 'deferred', 'missed', 'caught-up'] as const;
export type FireOutcome = (typeof fireOutcomes)[number];

@Entity('fire')
export class FireEntity {
  @PrimaryColumn('uuid', { name: 'schedule_id' }) scheduleId!: string;
  @PrimaryColumn('timestamptz', { name: 'nominal_at' }) nominalAt!: Date;
  @Column('text') outcome!: FireOutcome;
  @Column('text') reason!: string;
  @Column('uuid', { name: 'run_id', nullable: true }) runId!: string | null;
  @Column('timestamptz', { name: 'settled_at' }) settledAt!: Date;
}
