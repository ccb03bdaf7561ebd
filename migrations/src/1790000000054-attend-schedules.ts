import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What else than an instant a schedule is attended to for: an opening, a free place, the end of a pause, a failure, its entry in Temporal. */
export class AttendSchedules1790000000054 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE schedule
        ADD COLUMN counted_from timestamptz,
        ADD COLUMN paused_until timestamptz,
        ADD COLUMN failures_from timestamptz,
        ADD COLUMN attend_at timestamptz,
        ADD COLUMN waiting integer NOT NULL DEFAULT 0 CHECK (waiting >= 0),
        ADD COLUMN queued integer NOT NULL DEFAULT 0 CHECK (queued >= 0),
        ADD COLUMN compared_at timestamptz,
        ADD COLUMN placed_until timestamptz,
        ADD COLUMN differences integer NOT NULL DEFAULT 0,
        ADD COLUMN last_difference text`);
    await runner.query(
      `COMMENT ON COLUMN schedule.counted_from IS 'since when it has been due as it is now; null: since before this was recorded'`,
    );
    await runner.query(
      `COMMENT ON COLUMN schedule.failures_from IS 'a run that failed after this pauses it; null: none does'`,
    );
    await runner.query(`COMMENT ON COLUMN schedule.attend_at IS 'when to settle it beside its instants; null: never'`);
    await runner.query(
      `COMMENT ON COLUMN schedule.placed_until IS 'last instant that Temporal has an explicit entry for; null: it has a rule'`,
    );
    await runner.query(
      `COMMENT ON COLUMN schedule.differences IS 'how often Temporal would have done something else than the calendar says'`,
    );
    await runner.query(`CREATE INDEX schedule_attend ON schedule (attend_at) WHERE attend_at IS NOT NULL`);
    await runner.query(`CREATE INDEX schedule_queued ON schedule (id) WHERE queued > 0 OR failures_from IS NOT NULL`);
    await runner.query(`CREATE INDEX schedule_compared ON schedule (compared_at NULLS FIRST)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX schedule_attend, schedule_queued, schedule_compared`);
    await runner.query(`
      ALTER TABLE schedule DROP COLUMN counted_from, DROP COLUMN paused_until, DROP COLUMN failures_from, DROP COLUMN attend_at,
        DROP COLUMN waiting, DROP COLUMN queued, DROP COLUMN compared_at, DROP COLUMN placed_until, DROP COLUMN differences,
        DROP COLUMN last_difference`);
  }
}
