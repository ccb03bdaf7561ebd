import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Commands that live on without the lane that started them: what the journal must know to find them again. */
export class AddDetachedSteps1790000000013 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run_step
        ADD COLUMN detached boolean NOT NULL DEFAULT false,
        ADD COLUMN fence integer NOT NULL DEFAULT 1 CHECK (fence >= 1),
        ADD COLUMN place text`);
    await runner.query(
      `COMMENT ON COLUMN run_step.fence IS 'rises with each claim of the attempt; the host refuses whoever comes with a smaller one'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run_step.place IS 'where a detached attempt was first sent: it is looked for nowhere else'`,
    );
    await runner.query(`
      ALTER TABLE run_target ADD COLUMN is_parked boolean NOT NULL DEFAULT false,
        ADD CONSTRAINT run_target_parked_unclaimed CHECK (NOT is_parked OR lane IS NULL)`);
    await runner.query(
      `COMMENT ON COLUMN run_target.is_parked IS 'a command runs detached on the host and is looked at again at due_at; it counts as in flight'`,
    );
    await runner.query(`CREATE INDEX run_target_parked ON run_target (run_id, wave, due_at) WHERE is_parked`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_target DROP COLUMN is_parked`);
    await runner.query(`ALTER TABLE run_step DROP COLUMN detached, DROP COLUMN fence, DROP COLUMN place`);
  }
}
