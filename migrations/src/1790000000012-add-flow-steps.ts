import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the flow steps of a runbook keep: sub-runs, waits for something outside, signals, and where each target stands in a handler. */
export class AddFlowSteps1790000000012 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run
        ADD COLUMN parent_run_id uuid REFERENCES run (id) ON DELETE CASCADE,
        ADD COLUMN parent_path text,
        ADD COLUMN depth integer NOT NULL DEFAULT 0 CHECK (depth BETWEEN 0 AND 8),
        ADD COLUMN closure jsonb,
        ADD COLUMN outputs jsonb,
        ADD COLUMN summary text,
        ADD COLUMN segment_mark integer NOT NULL DEFAULT 0,
        ADD COLUMN decision_mark integer NOT NULL DEFAULT 0,
        ADD CONSTRAINT run_parent_check CHECK ((parent_run_id IS NULL) = (parent_path IS NULL))`);
    await runner.query(`CREATE INDEX run_parent ON run (parent_run_id, id) WHERE parent_run_id IS NOT NULL`);
    await runner.query(
      `COMMENT ON COLUMN run.closure IS 'runbook -> digest of the version that its calls use, fixed when the topmost run starts; null: it calls none'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run.segment_mark IS 'the dispatch of a segment that targets entered last, so that a repeated activity moves none twice'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run.decision_mark IS 'the decisions of the run level that were written last, so that a repeated activity writes none twice'`,
    );
    await runner.query(`ALTER TABLE run_target ADD COLUMN failing integer NOT NULL DEFAULT 0`);
    await runner.query(
      `COMMENT ON COLUMN run_target.failing IS 'failures that are put off until it has been through a finally: a bit for each one around the step'`,
    );
    await runner.query(`ALTER TABLE run_step ADD COLUMN holds boolean`);
    await runner.query(
      `COMMENT ON COLUMN run_step.holds IS 'of a step that is repeated until a condition holds: whether it did after this attempt'`,
    );
    await runner.query(`
      CREATE TABLE run_wait (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        path text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('call', 'signal')),
        name text NOT NULL,
        child_run_id uuid REFERENCES run (id) ON DELETE CASCADE,
        opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        result jsonb,
        PRIMARY KEY (run_id, path),
        CHECK ((kind = 'call') = (child_run_id IS NOT NULL))
      )`);
    await runner.query(
      `COMMENT ON TABLE run_wait IS 'what a run waits for outside of itself, by the path of its step'`,
    );
    await runner.query(`CREATE INDEX run_wait_open ON run_wait (run_id, kind, name) WHERE ended_at IS NULL`);
    await runner.query(`
      CREATE TABLE run_signal (
        id uuid PRIMARY KEY,
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        name text NOT NULL,
        payload jsonb NOT NULL,
        sent_by text NOT NULL,
        sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        taken_by text
      )`);
    await runner.query(
      `COMMENT ON COLUMN run_signal.taken_by IS 'path of the step that took it; null: it waits for one'`,
    );
    await runner.query(`CREATE INDEX run_signal_waiting ON run_signal (run_id, name, id) WHERE taken_by IS NULL`);
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule', 'enrol-asset', 'wake-run'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM outbox WHERE kind = 'wake-run'`);
    await runner.query(`
      ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check, ADD CONSTRAINT outbox_kind_check
        CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule', 'enrol-asset'))`);
    await runner.query(`DROP TABLE run_signal, run_wait`);
    await runner.query(`ALTER TABLE run_step DROP COLUMN holds`);
    await runner.query(`ALTER TABLE run_target DROP COLUMN failing`);
    await runner.query(`
      ALTER TABLE run DROP CONSTRAINT run_parent_check, DROP COLUMN parent_run_id, DROP COLUMN parent_path, DROP COLUMN depth,
        DROP COLUMN closure, DROP COLUMN outputs, DROP COLUMN summary, DROP COLUMN segment_mark, DROP COLUMN decision_mark`);
  }
}
