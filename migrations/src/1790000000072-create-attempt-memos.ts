import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What an attempt has to know of the time before its effect, kept before it: whoever takes it over knows it as well. */
export class CreateAttemptMemos1790000000072 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE attempt_memo (
        token text PRIMARY KEY,
        run_id uuid NOT NULL,
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        value jsonb NOT NULL,
        kept_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(`COMMENT ON COLUMN attempt_memo.token IS 'effect token of the attempt'`);
    await runner.query(`CREATE INDEX attempt_memo_asset ON attempt_memo (asset_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE attempt_memo`);
  }
}
