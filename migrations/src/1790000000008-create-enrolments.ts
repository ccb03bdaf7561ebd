import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Requests to compare and pin the host keys that an asset shows; a worker scans, whoever asked waits for the row to end. */
export class CreateEnrolments1790000000008 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE enrolment (
        id uuid PRIMARY KEY,
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        principal_id uuid REFERENCES principal (id) ON DELETE CASCADE,
        principal_name text NOT NULL,
        principal_kind text NOT NULL,
        request_id text NOT NULL,
        expect text,
        is_replacing boolean NOT NULL,
        reason text,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'succeeded', 'failed', 'abandoned')),
        result jsonb,
        error jsonb,
        created_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        CHECK ((state = 'waiting') = (ended_at IS NULL))
      )`);
    await runner.query(`CREATE INDEX enrolment_asset ON enrolment (asset_id)`);
    await runner.query(`CREATE INDEX enrolment_created ON enrolment (created_at)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE enrolment`);
  }
}
