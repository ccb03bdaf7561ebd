import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * By when runs of a schedule must have started and finished. A trigger opens a row with each fire, so that none is forgotten whoever
 * writes the fire; it is deleted once it is met, and marked once it cannot be met any more.
 */
export class WatchDeadlines1790000000060 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE schedule ADD COLUMN must_start_ms bigint, ADD COLUMN must_finish_ms bigint`);
    await runner.query(
      `COMMENT ON COLUMN schedule.must_start_ms IS 'so long after its instant a run must have started'`,
    );
    await runner.query(`
      CREATE TABLE schedule_deadline (
        schedule_id uuid NOT NULL REFERENCES schedule (id) ON DELETE CASCADE,
        nominal_at timestamptz NOT NULL,
        source text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('start', 'finish')),
        due_at timestamptz NOT NULL,
        raised_at timestamptz,
        reason text,
        PRIMARY KEY (schedule_id, nominal_at, source, kind),
        CHECK ((raised_at IS NULL) = (reason IS NULL))
      )`);
    await runner.query(`CREATE INDEX schedule_deadline_open ON schedule_deadline (due_at) WHERE raised_at IS NULL`);
    await runner.query(`
      CREATE FUNCTION open_deadlines() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO schedule_deadline (schedule_id, nominal_at, source, kind, due_at)
        SELECT s.id, NEW.nominal_at, NEW.source, d.kind, NEW.nominal_at + d.ms * interval '1 millisecond'
        FROM schedule s CROSS JOIN LATERAL (VALUES ('start', s.must_start_ms), ('finish', s.must_finish_ms)) AS d (kind, ms)
        WHERE s.id = NEW.schedule_id AND d.ms IS NOT NULL
        ON CONFLICT DO NOTHING;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER fire_open_deadlines AFTER INSERT ON fire FOR EACH ROW
        WHEN (NEW.source IN ('nominal', 'after') AND NEW.code <> 'paused')
        EXECUTE FUNCTION open_deadlines()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TRIGGER fire_open_deadlines ON fire`);
    await runner.query(`DROP FUNCTION open_deadlines`);
    await runner.query(`DROP TABLE schedule_deadline`);
    await runner.query(`ALTER TABLE schedule DROP COLUMN must_start_ms, DROP COLUMN must_finish_ms`);
  }
}
