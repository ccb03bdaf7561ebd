import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `run_target_next` begins with the same columns. */
export class DropDueIndex1790000000045 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX run_target_due`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX run_target_due ON run_target (run_id, wave, step_index, due_at) WHERE state IN ('pending', 'running')`,
    );
  }
}
