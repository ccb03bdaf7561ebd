import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When the host had booted that was scanned: what was installed before has had its reboot. Null: not known. */
export class KeepBootOfScans1790000000076 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE patch_scan ADD COLUMN booted_at timestamptz`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE patch_scan DROP COLUMN booted_at`);
  }
}
