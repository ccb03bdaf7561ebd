import type { MigrationInterface, QueryRunner } from 'typeorm';

const targetStates = `'pending', 'running', 'succeeded', 'failed', 'skipped', 'unreachable', 'quarantined', 'cancelled', 'unknown'`;

/** Runs, their targets, the journal of steps, lanes, entries and logs. */
export class CreateRuns1790000000004 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE run (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        runbook text NOT NULL,
        version_id uuid NOT NULL REFERENCES document_version (id),
        version text NOT NULL,
        state text NOT NULL CHECK (state IN ('queued', 'waiting-approval', 'running', 'paused', 'succeeded', 'failed', 'cancelled',
          'timed-out')),
        workflow_id text NOT NULL UNIQUE,
        workflow_run_id text,
        inputs jsonb NOT NULL,
        selector text,
        target_set_digest text NOT NULL,
        target_count integer NOT NULL,
        undetermined_count integer NOT NULL,
        max_concurrency integer NOT NULL CHECK (max_concurrency >= 1),
        counts jsonb NOT NULL,
        seq bigint NOT NULL DEFAULT 0,
        idempotency_key text,
        request_digest text,
        requested_by uuid NOT NULL REFERENCES principal (id),
        schedule_id uuid,
        fire_at timestamptz,
        reason text,
        error jsonb,
        cancel_requested_at timestamptz,
        cancel_requested_by text,
        cancel_reason text,
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        ended_at timestamptz,
        deadline_at timestamptz NOT NULL,
        CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'timed-out')))
      )`);
    await runner.query(
      `COMMENT ON COLUMN run.seq IS 'last number given to an entry or a log chunk; taken under the row lock, so that no reader misses a late commit'`,
    );
    await runner.query(
      `CREATE UNIQUE INDEX run_idempotency ON run (space, requested_by, idempotency_key) WHERE idempotency_key IS NOT NULL`,
    );
    await runner.query(`CREATE INDEX run_open ON run (id) WHERE ended_at IS NULL`);
    await runner.query(`CREATE INDEX run_schedule ON run (schedule_id, fire_at) WHERE schedule_id IS NOT NULL`);
    await runner.query(`
      CREATE TABLE run_target (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        asset_id uuid NOT NULL,
        asset_name text NOT NULL,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN (${targetStates})),
        step_index integer NOT NULL DEFAULT 0,
        generation integer NOT NULL DEFAULT 1,
        lane integer,
        lane_epoch integer,
        due_at timestamptz NOT NULL DEFAULT now(),
        outputs jsonb NOT NULL DEFAULT '{}',
        error jsonb,
        started_at timestamptz,
        ended_at timestamptz,
        PRIMARY KEY (run_id, asset_id),
        CHECK ((lane IS NULL) = (lane_epoch IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN run_target.step_index IS 'index of the next target step among all target steps of the runbook'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run_target.lane IS 'the lane that holds the claim; null: nobody works on this target now'`,
    );
    await runner.query(
      `CREATE INDEX run_target_open ON run_target (run_id, step_index, due_at) WHERE state IN ('pending', 'running')`,
    );
    await runner.query(`CREATE INDEX run_target_claimed ON run_target (run_id, lane) WHERE lane IS NOT NULL`);
    await runner.query(`CREATE INDEX run_target_asset ON run_target (asset_id, run_id)`);
    await runner.query(`
      CREATE TABLE run_step (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        asset_id uuid NOT NULL,
        step text NOT NULL,
        phase text NOT NULL DEFAULT 'do' CHECK (phase IN ('do', 'undo')),
        generation integer NOT NULL CHECK (generation >= 1),
        lane_epoch integer NOT NULL,
        token text NOT NULL,
        state text NOT NULL CHECK (state IN ('started', 'succeeded', 'failed', 'skipped', 'unreachable', 'quarantined', 'cancelled',
          'unknown')),
        exit_code integer,
        error jsonb,
        output jsonb,
        started_at timestamptz NOT NULL,
        ended_at timestamptz,
        PRIMARY KEY (run_id, asset_id, step, phase, generation),
        CHECK ((state = 'started') = (ended_at IS NULL))
      )`);
    await runner.query(
      `COMMENT ON TABLE run_step IS 'the journal: started is committed before the effect, the end after it; a control step has the nil asset'`,
    );
    await runner.query(`
      CREATE TABLE lane (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        number integer NOT NULL,
        epoch integer NOT NULL,
        worker text NOT NULL,
        opened_at timestamptz NOT NULL,
        PRIMARY KEY (run_id, number)
      )`);
    await runner.query(
      `COMMENT ON TABLE lane IS 'the epoch rises each time a worker takes the lane, which fences off the one before'`,
    );
    await runner.query(`
      CREATE TABLE entry (
        run_id uuid NOT NULL,
        seq bigint NOT NULL,
        at timestamptz NOT NULL,
        kind text NOT NULL,
        asset_id uuid,
        step text,
        data jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (run_id, seq)
      ) PARTITION BY RANGE (run_id)`);
    await runner.query(`CREATE TABLE entry_default PARTITION OF entry DEFAULT`);
    await runner.query(`
      CREATE TABLE run_log (
        run_id uuid NOT NULL,
        seq bigint NOT NULL,
        at timestamptz NOT NULL,
        asset_id uuid NOT NULL,
        step text NOT NULL,
        generation integer NOT NULL,
        stream text NOT NULL CHECK (stream IN ('stdout', 'stderr', 'note')),
        line bigint NOT NULL,
        body text NOT NULL,
        PRIMARY KEY (run_id, seq)
      ) PARTITION BY RANGE (run_id)`);
    await runner.query(
      `COMMENT ON COLUMN run_log.line IS 'number of the first line of this chunk in its stream, from 1; a chunk may continue a line'`,
    );
    await runner.query(`CREATE INDEX run_log_step ON run_log (run_id, asset_id, step, generation, seq)`);
    await runner.query(`CREATE TABLE run_log_default PARTITION OF run_log DEFAULT`);
    for (const table of ['entry', 'run_log']) {
      await runner.query(
        `
        SELECT ensure_month_partition($1, (date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date, true)
        FROM generate_series(0, 2) AS n`,
        [table],
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE run_log, entry, lane, run_step, run_target, run`);
  }
}
