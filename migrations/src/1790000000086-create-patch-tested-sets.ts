import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Versions that hosts of an earlier ring were well with, named by their digest: too many for the history of a run. */
export class CreatePatchTestedSets1790000000086 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE patch_tested_set (
        space text NOT NULL REFERENCES space (name),
        digest text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
        run_id uuid NOT NULL,
        packages jsonb NOT NULL CHECK (jsonb_typeof(packages) = 'object'),
        kept_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (space, digest)
      )`);
    await runner.query(
      `COMMENT ON COLUMN patch_tested_set.packages IS 'versions by "manager release", then by "name:architecture"'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE patch_tested_set`);
  }
}
