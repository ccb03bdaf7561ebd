import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What each installation of patches chose before it began, so that whoever takes it over does the same; and what came of it. */
export class CreatePatchInstalls1790000000071 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE patch_install (
        token text PRIMARY KEY,
        step_token text NOT NULL,
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        run_id uuid NOT NULL,
        selection jsonb NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        results jsonb,
        ended_at timestamptz,
        CHECK ((results IS NULL) = (ended_at IS NULL))
      )`);
    await runner.query(`COMMENT ON COLUMN patch_install.token IS 'effect token of the attempt'`);
    await runner.query(
      `COMMENT ON COLUMN patch_install.step_token IS 'effect token of the first attempt, by which it is undone'`,
    );
    await runner.query(`CREATE INDEX patch_install_asset ON patch_install (asset_id, started_at)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE patch_install`);
  }
}
