import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Named capacities that runs share, documents that limit them, and the locks of assets that runs change. */
export class AddCapacity1790000000015 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await this.#createCapacity(runner);
    await this.#createAssetLocks(runner);
    // Added to whatever the check allows by now, so that no other migration's kinds are lost.
    await changeDocumentKinds(runner, `replace(kinds, ']', ', ''Capacity''::text]')`);
  }

  async #createCapacity(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE capacity_limit (
        space text NOT NULL REFERENCES space (name),
        key text NOT NULL,
        units integer NOT NULL CHECK (units >= 1),
        document text NOT NULL,
        PRIMARY KEY (space, key),
        UNIQUE (space, document)
      )`);
    await runner.query(
      `COMMENT ON TABLE capacity_limit IS 'the keys of the current Capacity documents; a key that is not here has one unit'`,
    );
    await runner.query(`
      CREATE TABLE capacity_request (
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        path text NOT NULL,
        space text NOT NULL REFERENCES space (name),
        priority integer NOT NULL,
        arrival bigint GENERATED ALWAYS AS IDENTITY,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        granted_at timestamptz,
        is_told boolean NOT NULL DEFAULT false,
        kept_until timestamptz,
        PRIMARY KEY (run_id, path)
      )`);
    await runner.query(
      `COMMENT ON COLUMN capacity_request.granted_at IS 'null: it waits in the queue; whoever gives back grants, and the run finds it'`,
    );
    await runner.query(
      `COMMENT ON COLUMN capacity_request.is_told IS 'the run knows of its grant: the entry is written'`,
    );
    await runner.query(
      `COMMENT ON COLUMN capacity_request.kept_until IS 'the run has ended with a step that may still be at work until then'`,
    );
    await runner.query(`
      CREATE TABLE capacity_want (
        run_id uuid NOT NULL,
        path text NOT NULL,
        space text NOT NULL,
        key text NOT NULL,
        units integer NOT NULL CHECK (units >= 1),
        PRIMARY KEY (run_id, path, key),
        FOREIGN KEY (run_id, path) REFERENCES capacity_request (run_id, path) ON DELETE CASCADE
      )`);
    await runner.query(`CREATE INDEX capacity_want_key ON capacity_want (space, key)`);
  }

  async #createAssetLocks(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE asset_lock (
        asset_id uuid PRIMARY KEY,
        mode text NOT NULL CHECK (mode IN ('exclusive', 'shared')),
        holders uuid[] NOT NULL,
        roots uuid[] NOT NULL,
        taken_at timestamptz NOT NULL,
        CHECK (cardinality(holders) = cardinality(roots))
      )`);
    await runner.query(
      `COMMENT ON TABLE asset_lock IS 'runs that change an asset; one whose target has ended holds nothing any more, so nobody has to give back'`,
    );
    await runner.query(
      `COMMENT ON COLUMN asset_lock.roots IS 'the run at the root of each holder: a run and those that it calls share a lock'`,
    );
    await runner.query(`
      CREATE TABLE asset_lock_wait (
        asset_id uuid NOT NULL,
        run_id uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
        root uuid NOT NULL,
        ticket bigint GENERATED ALWAYS AS IDENTITY,
        since timestamptz NOT NULL,
        PRIMARY KEY (asset_id, run_id)
      )`);
    await runner.query(`CREATE INDEX asset_lock_wait_run ON asset_lock_wait (run_id)`);
    await runner.query(
      `COMMENT ON TABLE asset_lock_wait IS 'runs that wait for an asset, by ticket; a row whose target has ended counts for nothing'`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`UPDATE document SET current_version_id = NULL WHERE kind = 'Capacity'`);
    await runner.query(`DELETE FROM document_version WHERE kind = 'Capacity'`);
    await runner.query(`DELETE FROM document WHERE kind = 'Capacity'`);
    await changeDocumentKinds(runner, `replace(kinds, ', ''Capacity''::text', '')`);
    await runner.query(`DROP TABLE asset_lock_wait, asset_lock, capacity_want, capacity_request, capacity_limit`);
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
