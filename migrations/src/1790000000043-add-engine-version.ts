import type { MigrationInterface, QueryRunner } from 'typeorm';

/** By which code a run began, and for which end of it the history is archived. */
export class AddEngineVersion1790000000043 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run ADD COLUMN engine_version text, ADD COLUMN history_ended_at timestamptz`);
    await runner.query(
      `COMMENT ON COLUMN run.engine_version IS 'of the worker that took the run up first: version, "+", start of the digest of its workflows'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run.history_ended_at IS 'the ended_at for which its history was archived; a run that ends again is archived again'`,
    );
    await runner.query(
      `CREATE INDEX run_unarchived ON run (ended_at) WHERE ended_at IS NOT NULL AND history_ended_at IS DISTINCT FROM ended_at`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX run_unarchived`);
    await runner.query(`ALTER TABLE run DROP COLUMN engine_version, DROP COLUMN history_ended_at`);
  }
}
