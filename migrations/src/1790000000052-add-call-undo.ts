import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the run that called a run may undo of it, and what a run may undo of itself: assets stay locked until then. */
export class AddCallUndo1790000000052 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE run ADD COLUMN undo jsonb, ADD COLUMN undone_at timestamptz,
        ADD COLUMN undoes text NOT NULL DEFAULT 'nothing' CHECK (undoes IN ('nothing', 'unfinished', 'all')),
        ADD COLUMN has_undo boolean NOT NULL DEFAULT false`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE run DROP COLUMN undo, DROP COLUMN undone_at, DROP COLUMN undoes, DROP COLUMN has_undo`,
    );
  }
}
