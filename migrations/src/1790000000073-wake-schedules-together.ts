import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Schedules that are due together have one entry in Temporal. */
export class WakeSchedulesTogether1790000000073 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE schedule ADD COLUMN wake_id text`);
    await runner.query(
      `COMMENT ON COLUMN schedule.wake_id IS 'what of Temporal wakes it; null: it had an entry of its own, and is placed anew'`,
    );
    await runner.query(`CREATE INDEX schedule_wake ON schedule (wake_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX schedule_wake`);
    await runner.query(`ALTER TABLE schedule DROP COLUMN wake_id`);
  }
}
