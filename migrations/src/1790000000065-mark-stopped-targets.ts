import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A target that a cancel stops in the middle of a `try` goes through its `finally`. Where it was stopped decides what a run that takes
 * this one up does again.
 */
export class MarkStoppedTargets1790000000065 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target ADD COLUMN stopped_at text`);
    await runner.query(
      `COMMENT ON COLUMN run_target.stopped_at IS 'path of the step at which a cancel stopped it in the middle of a try; null: none did'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target DROP COLUMN stopped_at`);
  }
}
