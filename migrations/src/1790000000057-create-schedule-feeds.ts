import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Addresses at which calendar programs read a space's schedules. */
export class CreateScheduleFeeds1790000000057 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE schedule_feed (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        principal_id uuid NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
        name text NOT NULL,
        hash bytea NOT NULL CHECK (octet_length(hash) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz,
        revoked_at timestamptz
      )`);
    await runner.query(`COMMENT ON COLUMN schedule_feed.principal_id IS 'with whose rights it is read'`);
    await runner.query(
      `COMMENT ON COLUMN schedule_feed.hash IS 'SHA-256 of the token; the token itself is stored nowhere'`,
    );
    await runner.query(`CREATE INDEX schedule_feed_principal ON schedule_feed (principal_id, space)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE schedule_feed`);
  }
}
