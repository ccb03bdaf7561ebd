import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What became of the rollback of a target, and of a run as a whole. */
export class AddRollback1790000000017 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target ADD COLUMN rollback text CHECK (rollback IN ('undone', 'incomplete'))`);
    await runner.query(
      `COMMENT ON COLUMN run_target.rollback IS 'what became of undoing its steps; null: nothing was to be undone'`,
    );
    await runner.query(`ALTER TABLE run ADD COLUMN rollback jsonb`);
    await runner.query(
      `COMMENT ON COLUMN run.rollback IS 'paths of what was undone and of what could not be; null: there was no rollback'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run DROP COLUMN rollback`);
    await runner.query(`ALTER TABLE run_target DROP COLUMN rollback`);
  }
}
