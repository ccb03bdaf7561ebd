import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Schedules and the fire ledger: one row for each nominal instant, whatever became of it. */
export class CreateSchedules1790000000005 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE schedule (
        id uuid PRIMARY KEY REFERENCES document (id),
        space text NOT NULL REFERENCES space (name),
        name text NOT NULL,
        created_by uuid NOT NULL REFERENCES principal (id),
        watermark timestamptz NOT NULL,
        next_at timestamptz,
        paused_at timestamptz,
        paused_by text,
        pause_reason text,
        quarantine_reason text,
        UNIQUE (space, name)
      )`);
    await runner.query(
      `COMMENT ON COLUMN schedule.watermark IS 'every nominal instant up to and including this one has its row in fire'`,
    );
    await runner.query(`COMMENT ON COLUMN schedule.next_at IS 'first nominal instant after the watermark; null: none'`);
    await runner.query(`CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL`);
    await runner.query(`
      CREATE TABLE fire (
        schedule_id uuid NOT NULL,
        nominal_at timestamptz NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('fired', 'skipped', 'deferred', 'missed', 'caught-up')),
        reason text NOT NULL,
        run_id uuid,
        settled_at timestamptz NOT NULL,
        PRIMARY KEY (schedule_id, nominal_at)
      ) PARTITION BY RANGE (nominal_at)`);
    await runner.query(`CREATE TABLE fire_default PARTITION OF fire DEFAULT`);
    await runner.query(`
      SELECT ensure_month_partition('fire', (date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date, false)
      FROM generate_series(0, 2) AS n`);
    await runner.query(
      `ALTER TABLE run ADD CONSTRAINT run_schedule_exists FOREIGN KEY (schedule_id) REFERENCES schedule (id)`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run DROP CONSTRAINT run_schedule_exists`);
    await runner.query(`DROP TABLE fire, schedule`);
  }
}
