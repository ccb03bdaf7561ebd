import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is old is found without reading all that is not. */
export class OrderPatchInstalls1790000000087 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX patch_install_started ON patch_install (started_at)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX patch_install_started`);
  }
}
