import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Schedules that are due after another's runs. A trigger writes who follows the end of a run, so that it commits with that end, whoever
 * makes it; each pair of follower and run has one row, and so one decision.
 */
export class FollowSchedules1790000000059 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE schedule ADD COLUMN after_name text, ADD COLUMN after_from timestamptz`);
    await runner.query(`COMMENT ON COLUMN schedule.after_name IS 'the schedule of the same space that it follows'`);
    await runner.query(`COMMENT ON COLUMN schedule.after_from IS 'runs that ended before this are not followed'`);
    await runner.query(`CREATE INDEX schedule_after ON schedule (space, after_name) WHERE after_name IS NOT NULL`);
    await runner.query(`
      ALTER TABLE fire DROP CONSTRAINT fire_source_check,
        ADD CONSTRAINT fire_source_check CHECK (source IN ('nominal', 'trigger', 'backfill', 'after'))`);
    await runner.query(`
      CREATE TABLE schedule_follow (
        schedule_id uuid NOT NULL REFERENCES schedule (id) ON DELETE CASCADE,
        run_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        decided_at timestamptz,
        PRIMARY KEY (schedule_id, run_id)
      )`);
    await runner.query(`CREATE INDEX schedule_follow_open ON schedule_follow (created_at) WHERE decided_at IS NULL`);
    await runner.query(`
      CREATE FUNCTION follow_run() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO schedule_follow (schedule_id, run_id)
        SELECT f.id, NEW.id FROM schedule s JOIN schedule f ON f.space = s.space AND f.after_name = s.name
        WHERE s.id = NEW.schedule_id AND NEW.ended_at > f.after_from
        ON CONFLICT DO NOTHING;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER run_follow AFTER UPDATE OF ended_at ON run FOR EACH ROW
        WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND NEW.schedule_id IS NOT NULL)
        EXECUTE FUNCTION follow_run()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TRIGGER run_follow ON run`);
    await runner.query(`DROP FUNCTION follow_run`);
    await runner.query(`DROP TABLE schedule_follow`);
    await runner.query(`DELETE FROM fire WHERE source = 'after'`);
    await runner.query(`
      ALTER TABLE fire DROP CONSTRAINT fire_source_check,
        ADD CONSTRAINT fire_source_check CHECK (source IN ('nominal', 'trigger', 'backfill'))`);
    await runner.query(`DROP INDEX schedule_after`);
    await runner.query(`ALTER TABLE schedule DROP COLUMN after_name, DROP COLUMN after_from`);
  }
}
