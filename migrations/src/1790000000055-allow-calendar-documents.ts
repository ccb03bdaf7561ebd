import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Calendars: maintenance windows, freezes and holidays are documents. */
export class AllowCalendarDocuments1790000000055 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Added to whatever the check allows by now, so that no other migration's kinds are lost.
    await changeDocumentKinds(runner, `replace(kinds, ']', ', ''Calendar''::text]')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`UPDATE document SET current_version_id = NULL WHERE kind = 'Calendar'`);
    await runner.query(`DELETE FROM document_version WHERE kind = 'Calendar'`);
    await runner.query(`DELETE FROM document WHERE kind = 'Calendar'`);
    await changeDocumentKinds(runner, `replace(kinds, ', ''Calendar''::text', '')`);
  }
}

/** `kinds` is the text of the check as it stands. */
async function changeDocumentKinds(runner: QueryRunner, expression: string): Promise<void> {
  await runner.query(`
    DO $$ DECLARE kinds text;
    BEGIN
      SELECT pg_get_constraintdef(oid) INTO STRICT kinds FROM pg_constraint
      WHERE conrelid = 'document'::regclass AND conname = 'document_kind_check';
      ALTER TABLE document DROP CONSTRAINT document_kind_check;
      EXECUTE 'ALTER TABLE document ADD CONSTRAINT document_kind_check ' || ${expression};
    END $$`);
}
