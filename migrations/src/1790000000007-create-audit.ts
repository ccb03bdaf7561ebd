import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The audit log: canonical records with their leaf hash, the order that the sealer gives them, and signed checkpoints. */
export class CreateAudit1790000000007 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE audit_record (
        id uuid PRIMARY KEY,
        at timestamptz NOT NULL,
        space text,
        principal text NOT NULL,
        action text NOT NULL,
        object_kind text NOT NULL,
        object_name text NOT NULL,
        canonical bytea NOT NULL,
        leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32)
      ) PARTITION BY RANGE (id)`);
    await runner.query(
      `COMMENT ON COLUMN audit_record.canonical IS 'RFC 8785 bytes of the whole record; the other columns only help to find it'`,
    );
    await runner.query(`CREATE TABLE audit_record_default PARTITION OF audit_record DEFAULT`);
    await runner.query(`
      SELECT ensure_month_partition('audit_record', (date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date, true)
      FROM generate_series(0, 2) AS n`);
    await runner.query(`CREATE INDEX audit_record_object ON audit_record (object_kind, object_name, id)`);
    await runner.query(`
      CREATE TABLE audit_unsealed (
        record_id uuid PRIMARY KEY
      )`);
    await runner.query(`
      CREATE TABLE audit_leaf (
        position bigint PRIMARY KEY,
        record_id uuid NOT NULL UNIQUE,
        leaf_hash bytea NOT NULL
      )`);
    await runner.query(`
      CREATE TABLE audit_tree (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        size bigint NOT NULL,
        frontier bytea[] NOT NULL
      )`);
    await runner.query(`INSERT INTO audit_tree (size, frontier) VALUES (0, '{}')`);
    await runner.query(`
      CREATE TABLE audit_checkpoint (
        size bigint PRIMARY KEY,
        note text NOT NULL,
        at timestamptz NOT NULL
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE audit_checkpoint, audit_tree, audit_leaf, audit_unsealed, audit_record`);
  }
}
