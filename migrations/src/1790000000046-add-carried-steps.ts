import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Attempts that a resumed run has from the one before it, and what people said of attempts that nobody knew the end of. */
export class AddCarriedSteps1790000000046 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_step ADD COLUMN carried_from uuid, ADD COLUMN resolution jsonb`);
    await runner.query(
      `COMMENT ON COLUMN run_step.carried_from IS 'the run that made the attempt, where it is known from there; null: this run'`,
    );
    await runner.query(
      `COMMENT ON COLUMN run_step.resolution IS 'of an unknown attempt: what a person found, as {as, reason, by, at}'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`ALTER TABLE run_step DROP COLUMN carried_from, DROP COLUMN resolution`);
  }
}
