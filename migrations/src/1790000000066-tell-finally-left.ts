import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What of a `finally` a target did not come to is said, so that somebody can do it. */
export class TellFinallyLeft1790000000066 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target ADD COLUMN finally_left jsonb`);
    await runner.query(
      `COMMENT ON COLUMN run_target.finally_left IS 'paths of the steps of finally that it did not come to, a list; null: nothing is left'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target DROP COLUMN finally_left`);
  }
}
