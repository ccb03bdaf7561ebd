import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Principals (people and services), their role bindings and hashed API tokens. */
export class CreatePrincipals1790000000001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE principal (
        id uuid PRIMARY KEY,
        name text NOT NULL UNIQUE,
        kind text NOT NULL CHECK (kind IN ('person', 'service')),
        created_at timestamptz NOT NULL DEFAULT now(),
        revoked_at timestamptz
      )`);
    await runner.query(`
      CREATE TABLE role_binding (
        id uuid PRIMARY KEY,
        principal_id uuid NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
        role text NOT NULL CHECK (role IN ('viewer', 'auditor', 'operator', 'responder', 'author', 'admin')),
        space text NOT NULL REFERENCES space (name),
        selector text,
        UNIQUE NULLS NOT DISTINCT (principal_id, role, space, selector)
      )`);
    await runner.query(`
      CREATE TABLE api_token (
        id text PRIMARY KEY,
        principal_id uuid NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
        name text NOT NULL,
        hash bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz
      )`);
    await runner.query(`CREATE INDEX api_token_principal ON api_token (principal_id)`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DROP TABLE api_token, role_binding, principal`);
  }
}
