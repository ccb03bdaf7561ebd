import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who is to be told what became of a schedule. Triggers write the rows, so that they commit with what they tell of, whoever makes it;
 * each row keeps what the document said then, so that a later version changes nothing about what has happened before.
 */
export class NotifyOfSchedules1790000000067 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE schedule ADD COLUMN notify jsonb`);
    await runner.query(
      `COMMENT ON COLUMN schedule.notify IS 'the notifications of its document: a list of on, uses and with; null: nobody is told'`,
    );
    await runner.query(`
      CREATE TABLE schedule_notification (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        schedule_id uuid NOT NULL REFERENCES schedule (id) ON DELETE CASCADE,
        item integer NOT NULL,
        state text NOT NULL,
        uses text NOT NULL,
        input jsonb NOT NULL,
        news jsonb NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        last_error jsonb,
        outcome text CHECK (outcome IN ('sent', 'failed')),
        done_at timestamptz,
        CHECK ((done_at IS NULL) = (outcome IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN schedule_notification.item IS 'index in the notifications of the document as it was'`,
    );
    await runner.query(
      `CREATE INDEX schedule_notification_open ON schedule_notification (next_at) WHERE done_at IS NULL`,
    );
    await runner.query(
      `CREATE INDEX schedule_notification_done ON schedule_notification (done_at) WHERE done_at IS NOT NULL`,
    );
    await runner.query(`CREATE INDEX schedule_notification_latest ON schedule_notification (schedule_id, at)`);
    await createFunctions(runner);
    await createTriggers(runner);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TRIGGER fire_tell_new ON fire`);
    await runner.query(`DROP TRIGGER fire_tell_ended ON fire`);
    await runner.query(`DROP TRIGGER deadline_tell ON schedule_deadline`);
    await runner.query(`DROP TRIGGER schedule_tell ON schedule`);
    await runner.query(`DROP FUNCTION tell_of_fire()`);
    await runner.query(`DROP FUNCTION tell_of_deadline()`);
    await runner.query(`DROP FUNCTION tell_of_quarantine()`);
    await runner.query(`DROP FUNCTION queue_schedule_notifications(uuid, text, jsonb)`);
    await runner.query(`DROP TABLE schedule_notification`);
    await runner.query(`ALTER TABLE schedule DROP COLUMN notify`);
  }
}

async function createFunctions(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE FUNCTION queue_schedule_notifications(told_id uuid, told_state text, told_news jsonb) RETURNS void LANGUAGE sql AS $$
      INSERT INTO schedule_notification (schedule_id, item, state, uses, input, news)
      SELECT s.id, n.item - 1, told_state, n.said ->> 'uses', COALESCE(n.said -> 'with', '{}'), told_news
      FROM schedule s CROSS JOIN LATERAL jsonb_array_elements(s.notify) WITH ORDINALITY AS n (said, item)
      WHERE s.id = told_id AND s.notify IS NOT NULL AND n.said -> 'on' ? told_state
    $$`);
  await runner.query(`
    CREATE FUNCTION tell_of_fire() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM queue_schedule_notifications(NEW.schedule_id, NEW.outcome, jsonb_build_object('nominalAt', NEW.nominal_at,
        'lastNominalAt', COALESCE(NEW.last_nominal_at, NEW.nominal_at), 'instants', NEW.instants, 'source', NEW.source,
        'code', NEW.code, 'reason', NEW.reason));
      RETURN NULL;
    END $$`);
  await runner.query(`
    CREATE FUNCTION tell_of_deadline() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM queue_schedule_notifications(NEW.schedule_id, 'deadline-missed', jsonb_build_object('nominalAt', NEW.nominal_at,
        'source', NEW.source, 'deadline', NEW.kind, 'dueAt', NEW.due_at, 'reason', NEW.reason,
        'runId', (SELECT f.run_id FROM fire f
          WHERE f.schedule_id = NEW.schedule_id AND f.nominal_at = NEW.nominal_at AND f.source = NEW.source)));
      RETURN NULL;
    END $$`);
  await runner.query(`
    CREATE FUNCTION tell_of_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM queue_schedule_notifications(NEW.id, 'quarantined', jsonb_build_object('reason', NEW.quarantine_reason));
      RETURN NULL;
    END $$`);
}

/** The conditions keep what most fires are out of plpgsql. Of several missed instants those that a later one stands for are no news. */
async function createTriggers(runner: QueryRunner): Promise<void> {
  const isTold = `(NEW.outcome = 'refused' OR (NEW.outcome = 'missed' AND NEW.code = 'late'))`;
  await runner.query(`
    CREATE TRIGGER fire_tell_new AFTER INSERT ON fire FOR EACH ROW WHEN ${isTold} EXECUTE FUNCTION tell_of_fire()`);
  await runner.query(`
    CREATE TRIGGER fire_tell_ended AFTER UPDATE OF outcome ON fire FOR EACH ROW
      WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome AND ${isTold}) EXECUTE FUNCTION tell_of_fire()`);
  await runner.query(`
    CREATE TRIGGER deadline_tell AFTER UPDATE OF raised_at ON schedule_deadline FOR EACH ROW
      WHEN (OLD.raised_at IS NULL AND NEW.raised_at IS NOT NULL) EXECUTE FUNCTION tell_of_deadline()`);
  await runner.query(`
    CREATE TRIGGER schedule_tell AFTER UPDATE OF quarantine_reason ON schedule FOR EACH ROW
      WHEN (OLD.quarantine_reason IS NULL AND NEW.quarantine_reason IS NOT NULL AND NEW.notify IS NOT NULL)
      EXECUTE FUNCTION tell_of_quarantine()`);
}
