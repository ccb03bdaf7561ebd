import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What Temporal told of the executions of a run's workflow, kept after Temporal itself has dropped it. */
export class CreateRunHistories1790000000042 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE run_history (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        number integer NOT NULL CHECK (number >= 1),
        workflow_id text NOT NULL,
        workflow_run_id text,
        state text NOT NULL CHECK (state IN ('archived', 'too-large', 'missing')),
        reason text,
        events integer,
        bytes bigint,
        sha256 text,
        data bytea,
        audit_id uuid NOT NULL,
        archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (run_id, number),
        CHECK ((state = 'archived') = (data IS NOT NULL)),
        CHECK ((state = 'missing') = (sha256 IS NULL)),
        CHECK ((state = 'archived') = (reason IS NULL))
      )`);
    // It is compressed already.
    await runner.query(`ALTER TABLE run_history ALTER COLUMN data SET STORAGE EXTERNAL`);
    await runner.query(
      `COMMENT ON TABLE run_history IS 'executions of the workflow of a run, oldest first; number goes on where the run was taken up again'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run_history.sha256 IS 'of the JSON that data holds compressed (gzip); it stands in the audit record, too'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE run_history`);
  }
}
