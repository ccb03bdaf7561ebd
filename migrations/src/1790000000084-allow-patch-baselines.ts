import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Patch baselines: which updates assets are to have is a document. */
export class AllowPatchBaselines1790000000084 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Added to whatever the check allows by now, so that no other migration's kinds are lost.
    await changeDocumentKinds(runner, `replace(kinds, ']', ', ''PatchBaseline''::text]')`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`UPDATE document SET current_version_id = NULL WHERE kind = 'PatchBaseline'`);
    await runner.query(`DELETE FROM document_version WHERE kind = 'PatchBaseline'`);
    await runner.query(`DELETE FROM document WHERE kind = 'PatchBaseline'`);
    await changeDocumentKinds(runner, `replace(kinds, ', ''PatchBaseline''::text', '')`);
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
