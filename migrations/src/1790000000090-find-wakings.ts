import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What Temporal was told to wake schedules by is looked through every few seconds, among all that was sent within a week. */
export class FindWakings1790000000090 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX outbox_waking ON outbox (subject, id) WHERE kind = 'put-schedule'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX outbox_waking`);
  }
}
