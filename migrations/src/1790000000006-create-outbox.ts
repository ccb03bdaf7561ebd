import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Commands to Temporal, committed with the change they belong to and sent by the relay. */
export class CreateOutbox1790000000006 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('start-run', 'cancel-run', 'put-schedule', 'delete-schedule')),
        subject text NOT NULL,
        payload jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        next_at timestamptz NOT NULL DEFAULT now(),
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        sent_at timestamptz
      )`);
    await runner.query(
      `COMMENT ON COLUMN outbox.subject IS 'workflow or schedule id; commands of one subject are sent in order'`,
    );
    await runner.query(`CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at IS NULL`);
    await runner.query(`CREATE INDEX outbox_subject ON outbox (subject, id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE outbox`);
  }
}
