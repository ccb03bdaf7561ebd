import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Plans that were shown to somebody, by their digest: what a start or an approval is bound to, and what a drift is told against. */
export class CreatePlans1790000000016 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE plan (
        space text NOT NULL,
        digest text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
        runbook text NOT NULL,
        body jsonb NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (space, digest))`);
    await runner.query(`COMMENT ON COLUMN plan.seen_at IS 'when it was last made or asked for; old ones are removed'`);
    await runner.query(`CREATE INDEX plan_seen ON plan (seen_at)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE plan`);
  }
}
