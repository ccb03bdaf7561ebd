import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lets the outbox carry `enrol-asset`. */
export class AllowEnrolCommands1790000000009 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule', 'enrol-asset'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM outbox WHERE kind = 'enrol-asset'`);
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule'))`);
  }
}
