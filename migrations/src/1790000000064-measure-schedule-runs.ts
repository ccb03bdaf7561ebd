import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Polls ask of each schedule which of its runs is open, which ended last, and whether one failed since: by index, however many runs it
 * has had. And how long a run stood still for a calendar, so that it does not count as time that the runbook takes.
 */
export class MeasureScheduleRuns1790000000064 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX run_schedule_ended ON run (schedule_id, ended_at) WHERE schedule_id IS NOT NULL`);
    await runner.query(`
      CREATE INDEX run_schedule_failed ON run (schedule_id, ended_at)
        WHERE schedule_id IS NOT NULL AND state IN ('failed', 'timed-out')`);
    await runner.query(`ALTER TABLE run ADD COLUMN closed_ms bigint NOT NULL DEFAULT 0`);
    await runner.query(
      `COMMENT ON COLUMN run.closed_ms IS 'so long it could not go on since it was taken up, without what closed_since tells of'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run DROP COLUMN closed_ms`);
    await runner.query(`DROP INDEX run_schedule_failed`);
    await runner.query(`DROP INDEX run_schedule_ended`);
  }
}
