import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The journal keeps what an attempt may do, so that its recovery does not judge by what has changed since. */
export class AddStepEffect1790000000010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Attempts from before this column count as mutating: they are not repeated.
    await runner.query(`
      ALTER TABLE run_step ADD COLUMN effect text NOT NULL DEFAULT 'mutating'
        CHECK (effect IN ('none', 'read-only', 'idempotent', 'mutating', 'irreversible'))`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_step DROP COLUMN effect`);
  }
}
