import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Of which release a host is: a version that was tested on one says nothing of another. Null: not known. */
export class KeepReleaseOfScans1790000000085 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE patch_scan ADD COLUMN os_release text`);
    await runner.query(`COMMENT ON COLUMN patch_scan.os_release IS 'of os-release(5), such as "debian 12"'`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE patch_scan DROP COLUMN os_release`);
  }
}
