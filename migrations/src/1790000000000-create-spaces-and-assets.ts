import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Spaces and the inventory: assets with their facts, identifiers, endpoints, relations and sealed credentials. */
export class CreateSpacesAndAssets1790000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE space (
        name text PRIMARY KEY CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
        created_at timestamptz NOT NULL DEFAULT now()
      )`);
    await runner.query(`INSERT INTO space (name) VALUES ('default')`);
    await runner.query(`
      CREATE TABLE asset (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
        kind text NOT NULL CHECK (kind IN ('server', 'workstation', 'printer', 'network-device', 'iot-device', 'database',
          'application', 'virtual-machine')),
        site text,
        owner text,
        criticality text CHECK (criticality IN ('low', 'medium', 'high', 'critical')),
        lifecycle text NOT NULL DEFAULT 'active' CHECK (lifecycle IN ('planned', 'active', 'maintenance', 'retired')),
        labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
        sources jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sources) = 'object'),
        quarantined_at timestamptz,
        quarantine_reason text,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (space, name),
        CHECK ((quarantined_at IS NULL) = (quarantine_reason IS NULL))
      )`);
    await runner.query(
      `COMMENT ON COLUMN asset.sources IS 'who owns each column or label: {"site": "import:csv", "label.env": "person"}'`,
    );
    await runner.query(`CREATE INDEX asset_kind ON asset (space, kind)`);
    await runner.query(`CREATE INDEX asset_site ON asset (space, site)`);
    await runner.query(`CREATE INDEX asset_labels ON asset USING gin (labels jsonb_path_ops)`);
    await runner.query(`
      CREATE TABLE asset_fact (
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 63),
        value jsonb NOT NULL,
        source text NOT NULL,
        observed_at timestamptz NOT NULL,
        PRIMARY KEY (asset_id, name)
      )`);
    await runner.query(`
      CREATE TABLE asset_identifier (
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        kind text NOT NULL,
        value text NOT NULL,
        source text NOT NULL,
        observed_at timestamptz NOT NULL,
        PRIMARY KEY (asset_id, kind, value)
      )`);
    await runner.query(`CREATE INDEX asset_identifier_value ON asset_identifier (kind, value)`);
    await runner.query(`
      CREATE TABLE asset_relation (
        from_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        kind text NOT NULL,
        to_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        source text NOT NULL,
        PRIMARY KEY (from_id, kind, to_id)
      )`);
    await runner.query(`CREATE INDEX asset_relation_to ON asset_relation (to_id)`);
    await runner.query(`
      CREATE TABLE endpoint (
        asset_id uuid NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
        transport text NOT NULL CHECK (transport IN ('ssh')),
        address text NOT NULL,
        port integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
        username text,
        credential text,
        host_keys text[] NOT NULL DEFAULT '{}',
        source text NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (asset_id, transport)
      )`);
    await runner.query(`
      CREATE TABLE credential (
        id uuid PRIMARY KEY,
        space text NOT NULL REFERENCES space (name),
        name text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('ssh-private-key', 'password', 'token')),
        username text,
        sealed bytea NOT NULL,
        key_id text NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (space, name)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE credential, endpoint, asset_relation, asset_identifier, asset_fact, asset, space`);
  }
}
