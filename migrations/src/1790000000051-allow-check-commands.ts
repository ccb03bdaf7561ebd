import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Lets the outbox carry `check-plan`. */
export class AllowCheckCommands1790000000051 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule', 'enrol-asset', 'wake-run', 'check-plan'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM outbox WHERE kind = 'check-plan'`);
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule', 'enrol-asset', 'wake-run'))`);
  }
}
