import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Data: the entries that each schedule had of its own in Temporal are deleted there. */
export class LeaveOwnEntries1790000000074 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `INSERT INTO outbox (kind, subject, payload) SELECT 'delete-schedule', 'schedule-' || id, '{}' FROM schedule WHERE wake_id IS NULL`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM outbox WHERE kind = 'delete-schedule' AND sent_at IS NULL`);
  }
}
