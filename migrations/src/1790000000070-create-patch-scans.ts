import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What each asset last said of its packages. An asset without a row was never scanned. */
export class CreatePatchScans1790000000070 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE patch_scan (
        asset_id uuid PRIMARY KEY REFERENCES asset (id) ON DELETE CASCADE,
        run_id uuid NOT NULL,
        manager text NOT NULL CHECK (manager IN ('apt', 'dnf')),
        scanned_at timestamptz NOT NULL DEFAULT now(),
        packages jsonb NOT NULL CHECK (jsonb_typeof(packages) = 'array'),
        offers jsonb NOT NULL CHECK (jsonb_typeof(offers) = 'array'),
        is_interrupted boolean NOT NULL,
        reboot text NOT NULL CHECK (reboot IN ('needed', 'not-needed', 'unknown')),
        reboot_reasons text[] NOT NULL
      )`);
    await runner.query(
      `COMMENT ON COLUMN patch_scan.offers IS 'packages of which newer versions are on offer, each with these versions, the newest first'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE patch_scan`);
  }
}
