import type { MigrationInterface, QueryRunner } from 'typeorm';

/** To which build of versioned workers a run is pinned. */
export class AddWorkerBuild1790000000058 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run ADD COLUMN worker_build text`);
    await runner.query(
      `COMMENT ON COLUMN run.worker_build IS 'deployment:build of the versioned worker that took the run up; null: its workers are not versioned'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run DROP COLUMN worker_build`);
  }
}
