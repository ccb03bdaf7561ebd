import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Targets in the order in which they are claimed. Without the asset each claim sorted all targets that were due at the same moment,
 * which at the start of a run are all of them.
 */
export class OrderClaimsByIndex1790000000044 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX run_target_next ON run_target (run_id, wave, step_index, due_at, asset_id) WHERE state IN ('pending', 'running')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX run_target_next`);
  }
}
