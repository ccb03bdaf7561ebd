import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The asset that an endpoint is reached through. By its name, as credentials are: it may come, go and come again. */
export class AddJumpHosts1790000000040 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE endpoint ADD COLUMN jump text`);
    await runner.query(
      `COMMENT ON COLUMN endpoint.jump IS 'name of the asset in the same space that is the jump host'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE endpoint DROP COLUMN jump`);
  }
}
