import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a run asks people for, round by round, and what each of them decided. */
export class CreateApprovals1790000000018 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE approval (
        id uuid PRIMARY KEY,
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        space text NOT NULL,
        path text NOT NULL,
        round integer NOT NULL CHECK (round >= 1),
        state text NOT NULL DEFAULT 'open'
          CHECK (state IN ('open', 'approved', 'rejected', 'expired', 'drifted', 'cancelled')),
        message text,
        rule jsonb NOT NULL,
        excluded jsonb NOT NULL DEFAULT '[]',
        plan_digest text NOT NULL,
        differences jsonb,
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        escalates_at timestamptz,
        escalated_at timestamptz,
        expires_at timestamptz NOT NULL,
        ended_at timestamptz,
        UNIQUE (run_id, path, round),
        CHECK ((state = 'open') = (ended_at IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN approval.path IS 'of the step that asks; each time it asks is a round, from 1'`,
    );
    await runner.query(
      `COMMENT ON COLUMN approval.excluded IS 'principals who may not decide because the run is theirs: a list of {id, name, why}'`,
    );
    await runner.query(
      `COMMENT ON COLUMN approval.plan_digest IS 'of the plan that is approved; its body stands in plan as long as this row does'`,
    );
    await runner.query(`COMMENT ON COLUMN approval.differences IS 'where the plan drifted: what differs'`);
    await runner.query(`CREATE INDEX approval_open ON approval (space, id) WHERE state = 'open'`);
    await runner.query(`CREATE INDEX approval_space ON approval (space, id)`);
    await runner.query(`CREATE INDEX approval_plan ON approval (space, plan_digest)`);
    await runner.query(`
      CREATE TABLE approval_decision (
        approval_id uuid NOT NULL REFERENCES approval (id) ON DELETE CASCADE,
        principal_id uuid NOT NULL REFERENCES principal (id),
        decision text NOT NULL CHECK (decision IN ('approve', 'reject')),
        reason text CHECK (decision = 'approve' OR reason IS NOT NULL),
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (approval_id, principal_id, decision)
      )`);
    await runner.query(
      `COMMENT ON TABLE approval_decision IS 'each principal counts once; who has approved may still reject while it is open'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE approval_decision, approval`);
  }
}
