import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Fires that wait (queued behind a run, deferred to an opening), rows that stand for a stretch of instants, and fires that persons
 * ask for: these are no instants of the schedule, so the source is part of the key, and `nominal` has each instant once as before.
 */
export class AddWaitingFires1790000000053 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE fire
        DROP CONSTRAINT fire_outcome_check,
        DROP CONSTRAINT fire_pkey,
        ADD COLUMN source text NOT NULL DEFAULT 'nominal' CHECK (source IN ('nominal', 'trigger', 'backfill')),
        ADD COLUMN instants integer NOT NULL DEFAULT 1 CHECK (instants >= 1),
        ADD COLUMN last_nominal_at timestamptz,
        ADD COLUMN code text NOT NULL DEFAULT '',
        ADD COLUMN waited text CHECK (waited IN ('queued', 'deferred')),
        ADD COLUMN due_at timestamptz,
        ADD COLUMN evidence jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN requested_by uuid,
        ADD COLUMN request_key text,
        ADD CONSTRAINT fire_outcome_check
          CHECK (outcome IN ('fired', 'skipped', 'deferred', 'missed', 'caught-up', 'refused', 'queued')),
        ADD CONSTRAINT fire_stretch_check CHECK ((instants = 1) = (last_nominal_at IS NULL)),
        ADD PRIMARY KEY (schedule_id, nominal_at, source)`);
    await runner.query(
      `COMMENT ON COLUMN fire.instants IS 'nominal instants in a row that it stands for, nominal_at the first'`,
    );
    await runner.query(`COMMENT ON COLUMN fire.due_at IS 'of a deferred one: when it may start'`);
    await runner.query(
      `CREATE INDEX fire_waiting ON fire (schedule_id, nominal_at) WHERE outcome IN ('queued', 'deferred')`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM fire WHERE source <> 'nominal'`);
    await runner.query(`UPDATE fire SET outcome = 'skipped' WHERE outcome IN ('refused', 'queued')`);
    await runner.query(`DROP INDEX fire_waiting`);
    await runner.query(`
      ALTER TABLE fire
        DROP CONSTRAINT fire_pkey,
        DROP CONSTRAINT fire_outcome_check,
        DROP COLUMN source, DROP COLUMN instants, DROP COLUMN last_nominal_at, DROP COLUMN code, DROP COLUMN waited,
        DROP COLUMN due_at, DROP COLUMN evidence, DROP COLUMN requested_by, DROP COLUMN request_key,
        ADD CONSTRAINT fire_outcome_check CHECK (outcome IN ('fired', 'skipped', 'deferred', 'missed', 'caught-up')),
        ADD PRIMARY KEY (schedule_id, nominal_at)`);
  }
}
