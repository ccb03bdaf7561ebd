import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When each version of a package was first seen on offer: archives do not say it, and a delay has to count from something. */
export class CreatePatchVersions1790000000069 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE patch_version (
        space text NOT NULL REFERENCES space (name),
        manager text NOT NULL CHECK (manager IN ('apt', 'dnf')),
        name text NOT NULL,
        architecture text NOT NULL,
        version text NOT NULL,
        is_security boolean NOT NULL,
        severity text,
        first_seen_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (space, manager, name, architecture, version)
      )`);
    await runner.query(
      `COMMENT ON COLUMN patch_version.first_seen_at IS 'by the first host of the space that was offered it, when that was scanned'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE patch_version`);
  }
}
