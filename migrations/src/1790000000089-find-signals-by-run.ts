import type { MigrationInterface, QueryRunner } from 'typeorm';

/** As for what waits for a run: signals go with it, those that were taken included. */
export class FindSignalsByRun1790000000089 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE INDEX run_signal_run ON run_signal (run_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP INDEX run_signal_run`);
  }
}
