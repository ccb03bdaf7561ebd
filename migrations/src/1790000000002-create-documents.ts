import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Documents of all kinds; their versions are immutable and named by the digest of the parsed source. */
export class CreateDocuments1790000000002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE document (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        kind text NOT NULL CHECK (kind IN ('Runbook', 'Schedule')),
        name text NOT NULL,
        current_version_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (space, kind, name)
      )`);
    await runner.query(`
      CREATE TABLE document_version (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        document_id uuid REFERENCES document (id),
        number integer NOT NULL CHECK (number >= 1),
        digest text NOT NULL,
        kind text NOT NULL,
        name text NOT NULL,
        source text NOT NULL,
        parsed jsonb NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(`COMMENT ON COLUMN document_version.document_id IS 'null: a one-off runbook made by exec'`);
    await runner.query(`CREATE UNIQUE INDEX document_version_number ON document_version (document_id, number)`);
    await runner.query(
      `CREATE UNIQUE INDEX document_version_one_off ON document_version (space, digest) WHERE document_id IS NULL`,
    );
    await runner.query(`
      ALTER TABLE document ADD CONSTRAINT document_current_version
        FOREIGN KEY (current_version_id) REFERENCES document_version (id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE document DROP CONSTRAINT document_current_version`);
    await runner.query(`DROP TABLE document_version, document`);
  }
}
