import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The rollout of a run: what its claims go by, and the wave of each target. Runs from before have one wave and no limit. */
export class AddRollout1790000000011 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run
        ADD COLUMN strategy text NOT NULL DEFAULT 'linear' CHECK (strategy IN ('linear', 'free')),
        ADD COLUMN max_failures integer CHECK (max_failures >= 0),
        ADD COLUMN is_strict boolean NOT NULL DEFAULT false,
        ADD COLUMN wave_count integer NOT NULL DEFAULT 1,
        ADD COLUMN wave integer,
        ADD COLUMN wave_mark text`);
    await runner.query(
      `COMMENT ON COLUMN run.max_failures IS 'targets that may fail; nothing more is dispatched once more have; null: any number'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run.wave_mark IS 'which entry about a wave was written last, so that a repeated activity writes none twice'`,
    );
    await runner.query(`ALTER TABLE run_target ADD COLUMN wave integer NOT NULL DEFAULT 1`);
    await runner.query(
      `CREATE INDEX run_target_due ON run_target (run_id, wave, step_index, due_at) WHERE state IN ('pending', 'running')`,
    );
    await runner.query(
      `CREATE INDEX run_target_again ON run_target (run_id, wave, due_at) WHERE state = 'running' AND generation > 1`,
    );
    await runner.query(`DROP INDEX run_target_open`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE INDEX run_target_open ON run_target (run_id, step_index, due_at) WHERE state IN ('pending', 'running')`,
    );
    await runner.query(`DROP INDEX run_target_again, run_target_due`);
    await runner.query(`ALTER TABLE run_target DROP COLUMN wave`);
    await runner.query(`
      ALTER TABLE run DROP COLUMN strategy, DROP COLUMN max_failures, DROP COLUMN is_strict, DROP COLUMN wave_count,
        DROP COLUMN wave, DROP COLUMN wave_mark`);
  }
}
