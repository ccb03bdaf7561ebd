import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who is to be told of a run's state. A trigger writes the rows, so that they commit with the change of state, whoever makes it:
 * the workflow, a cancel, the sweeper.
 */
export class CreateNotifications1790000000014 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run ADD COLUMN notify jsonb`);
    await runner.query(
      `COMMENT ON COLUMN run.notify IS 'for each notification of the runbook the list of states that it is about; null: nobody is told'`,
    );
    await runner.query(`
      CREATE TABLE notification (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        item integer NOT NULL,
        change integer NOT NULL,
        state text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_error jsonb,
        outcome text CHECK (outcome IN ('sent', 'failed')),
        done_at timestamptz,
        PRIMARY KEY (run_id, item, change),
        CHECK ((done_at IS NULL) = (outcome IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN notification.item IS 'index in the notifications of the runbook; change counts how often the run came into one of its states, from 1'`,
    );
    await runner.query(`CREATE INDEX notification_open ON notification (next_at) WHERE done_at IS NULL`);
    await runner.query(`
      CREATE FUNCTION queue_notifications() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO notification (run_id, item, change, state)
        SELECT NEW.id, n.item - 1,
          1 + (SELECT count(*) FROM notification o WHERE o.run_id = NEW.id AND o.item = n.item - 1), NEW.state
        FROM jsonb_array_elements(NEW.notify) WITH ORDINALITY AS n (states, item)
        WHERE n.states ? NEW.state;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER run_queue_notifications AFTER UPDATE OF state ON run FOR EACH ROW
        WHEN (NEW.notify IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION queue_notifications()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TRIGGER run_queue_notifications ON run`);
    await runner.query(`DROP FUNCTION queue_notifications()`);
    await runner.query(`DROP TABLE notification`);
    await runner.query(`ALTER TABLE run DROP COLUMN notify`);
  }
}
