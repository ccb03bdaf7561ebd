import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a scan could know of updates at all: whether there was a source of security updates, and how old the lists were. Null: not known. */
export class KeepPatchSources1790000000075 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE patch_scan ADD COLUMN has_security_source boolean, ADD COLUMN lists_read_at timestamptz`,
    );
    await runner.query(`COMMENT ON COLUMN patch_scan.lists_read_at IS 'at the least; null: it cannot be told'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE patch_scan DROP COLUMN has_security_source, DROP COLUMN lists_read_at`);
  }
}
