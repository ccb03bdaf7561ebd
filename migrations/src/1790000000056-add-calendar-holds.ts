import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What holds runs and their targets until a calendar opens. */
export class AddCalendarHolds1790000000056 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE run ADD COLUMN calendar jsonb, ADD COLUMN opens_at timestamptz, ADD COLUMN closed_since timestamptz`,
    );
    await runner.query(`ALTER TABLE run_target ADD COLUMN closed jsonb`);
    await runner.query(
      `COMMENT ON COLUMN run.calendar IS 'calendars that it names, what its targets do on a close, and an override; null: as by default'`,
    );
    await runner.query(`COMMENT ON COLUMN run.opens_at IS 'the whole run waits until then; null: it does not'`);
    await runner.query(
      `COMMENT ON COLUMN run.closed_since IS 'nothing of it can go on since then, and its deadline stands still'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run_target.closed IS 'the calendar that it waits for until due_at, as {calendar, reason, nextOpenAt}'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target DROP COLUMN closed`);
    await runner.query(`ALTER TABLE run DROP COLUMN calendar, DROP COLUMN opens_at, DROP COLUMN closed_since`);
  }
}
