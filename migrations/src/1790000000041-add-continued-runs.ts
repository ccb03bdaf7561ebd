import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A run that takes up another one, with what is known from there. */
export class AddContinuedRuns1790000000041 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run
        ADD COLUMN continues uuid REFERENCES run (id) ON DELETE SET NULL,
        ADD COLUMN continued_how text CHECK (continued_how IN ('resume', 'retry')),
        ADD COLUMN memo jsonb,
        ADD CONSTRAINT run_continues_check CHECK (continues IS NULL OR continued_how IS NOT NULL)`);
    await runner.query(`CREATE INDEX run_continues ON run (continues) WHERE continues IS NOT NULL`);
    await runner.query(
      `COMMENT ON COLUMN run.continues IS 'the ended run that this one takes up (resume) or makes again (retry)'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run.memo IS 'of a resumed run: what became of the steps of the run itself before it; null: nothing is known'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run DROP CONSTRAINT run_continues_check, DROP COLUMN continues, DROP COLUMN continued_how, DROP COLUMN memo`);
  }
}
