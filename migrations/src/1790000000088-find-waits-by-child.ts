import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A run row that is taken back takes what waits for it along: without an index, the whole table is looked through for that. */
export class FindWaitsByChild1790000000088 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX run_wait_child ON run_wait (child_run_id) WHERE child_run_id IS NOT NULL`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX run_wait_child`);
  }
}
