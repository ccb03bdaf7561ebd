import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Checks of plans, and what their probes found. */
export class CreatePlanChecks1790000000050 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE plan_check (
        id uuid PRIMARY KEY,
        space text NOT NULL,
        runbook text NOT NULL,
        plan_digest text NOT NULL,
        subject jsonb NOT NULL,
        principal_id uuid REFERENCES principal (id) ON DELETE CASCADE,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'ended', 'failed')),
        error jsonb,
        total integer,
        created_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        CHECK ((state IN ('waiting', 'running')) = (ended_at IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN plan_check.subject IS 'what the plan is made of again: version, inputs and ids of targets'`,
    );
    await runner.query(`CREATE INDEX plan_check_created ON plan_check (created_at)`);
    await runner.query(`CREATE INDEX plan_check_principal ON plan_check (principal_id)`);
    await runner.query(`
      CREATE TABLE plan_check_result (
        check_id uuid NOT NULL REFERENCES plan_check (id) ON DELETE CASCADE,
        position integer NOT NULL,
        path text NOT NULL,
        uses text NOT NULL,
        asset text,
        result text NOT NULL CHECK (result IN ('would-change', 'no-change', 'cannot-tell', 'unreachable')),
        summary text NOT NULL,
        diff text,
        PRIMARY KEY (check_id, position)
      )`);
    await runner.query(
      `COMMENT ON COLUMN plan_check_result.position IS 'in the order of the plan, which is the same whenever it is made'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE plan_check_result, plan_check`);
  }
}
