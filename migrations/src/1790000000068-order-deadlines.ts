import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The oldest deadlines are looked at first for those whose fire has left the ledger. */
export class OrderDeadlines1790000000068 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX schedule_deadline_oldest ON schedule_deadline (nominal_at)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX schedule_deadline_oldest`);
  }
}
