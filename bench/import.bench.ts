import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ImportAssetRow } from '@fettle/contracts';
import { AssetEntity, createDataSource, EndpointEntity } from '@fettle/database';
import { importAssets } from '@fettle/operations';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { uuidv7 } from 'uuidv7';
import { ensureDebianPackages } from '../test/support/debian-packages.js';
import { createTestDatabase, type TestDatabase } from '../test/support/postgres.js';
import { Report, type Sample } from './report.js';

const run = promisify(execFile);
const ASSETS = Number(process.env.FETTLE_BENCH_ASSETS ?? 100_000);
/** TypeORM's `save` takes minutes for all; a part is enough to scale from, because it works row by row. */
const SAVED = Math.min(ASSETS, 5_000);
const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3);

const rows: ImportAssetRow[] = Array.from({ length: ASSETS }, (_, index) => ({
  line: index + 2,
  name: `host-${index}.dc${index % 4}.example.org`,
  kind: 'server',
  site: `site-${index % 50}`,
  owner: `Team ${index % 20}`,
  address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
  port: 22,
  user: 'ops',
  labels: { env: index % 3 === 0 ? 'prod' : 'test', role: `role-${index % 30}`, rack: String(index % 400) },
}));

describe('import', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let folder: string;
  let server: pg.Client;

  beforeAll(async () => {
    await ensureDebianPackages(['postgresql-client', 'time']);
    database = await createTestDatabase();
    dataSource = await createDataSource({ url: database.url, poolSize: 2, applicationName: 'fettle-bench' });
    server = new pg.Client({ connectionString: database.url });
    await server.connect();
    folder = await mkdtemp('/tmp/fettle-import-');
    await writeFile(join(folder, 'rows.csv'), rows.map(csvLine).join(''));
    await writeFile(join(folder, 'upsert.sql'), upsertScript(join(folder, 'rows.csv')));
  }, 300_000);

  afterAll(async () => {
    await server?.end();
    await dataSource?.destroy();
    await database?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  async function empty(): Promise<void> {
    await server.query('TRUNCATE asset CASCADE');
    await server.query('TRUNCATE audit_unsealed');
    // So that no round pays for the checkpoint or the vacuum of the one before.
    await server.query('CHECKPOINT');
    await server.query('VACUUM ANALYZE asset');
  }

  function fettle(expected: { created: number; unchanged: number }): Promise<Sample> {
    return measured(async () => {
      const result = await dataSource.transaction((transaction) =>
        importAssets(
          {
            transaction,
            actor: { principalId: null, name: 'bench', kind: 'system', requestId: uuidv7() },
            scopeOf: () => null,
          },
          { space: 'default', format: 'csv', dryRun: false, digest: 'sha256:none', rows },
        ),
      );
      expect(result).toMatchObject({ ...expected, changed: 0 });
    });
  }

  async function psql(): Promise<Sample> {
    const output = join(folder, 'time');
    const began = performance.now();
    const args = ['-q', '-X', '-v', 'ON_ERROR_STOP=1', '-d', database.url, '-f', join(folder, 'upsert.sql')];
    await run('/usr/bin/time', ['-o', output, '-f', '%U %S', 'psql', ...args]);
    const wallMs = performance.now() - began;
    const [user, system] = (await readFile(output, 'utf8')).trim().split(' ').map(Number);
    const { rows: counted } = await server.query<{ count: number }>('SELECT count(*)::int AS count FROM endpoint');
    expect(counted[0]!.count).toBe(ASSETS);
    return { wallMs, cpuMs: (user! + system!) * 1000 };
  }

  it(`measures ${ASSETS} assets, new and again`, async () => {
    const first: Record<string, Sample[]> = { fettle: [], psql: [], typeorm: [] };
    const again: Record<string, Sample[]> = { fettle: [], psql: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      // The order changes from round to round, so that neither always comes first.
      for (const name of round % 2 === 0 ? (['fettle', 'psql'] as const) : (['psql', 'fettle'] as const)) {
        await empty();
        first[name]!.push(await (name === 'psql' ? psql() : fettle({ created: ASSETS, unchanged: 0 })));
        again[name]!.push(await (name === 'psql' ? psql() : fettle({ created: 0, unchanged: ASSETS })));
      }
      await empty();
      first.typeorm!.push(await saveByTypeorm(dataSource));
    }
    const report = new Report('import', `${ASSETS} assets with an endpoint and three labels each, one transaction`);
    const title = { fettle: 'Fettle', psql: 'psql COPY and upsert', typeorm: `TypeORM save (scaled from ${SAVED})` };
    for (const [name, samples] of Object.entries(first))
      report.add(`new, ${title[name as keyof typeof title]}`, samples, ASSETS, first.fettle!);
    for (const [name, samples] of Object.entries(again))
      report.add(`again, ${title[name as keyof typeof title]}`, samples, ASSETS, again.fettle!);
    report.note(
      'CPU is that of the client (Fettle and TypeORM: Node; psql: psql); Postgres is in the wall time of each. ' +
        '"Again" gives the same rows a second time: Fettle finds that nothing changes, the plain upsert writes every row anew.',
    );
    await report.write();
  }, 1_800_000);
});

function csvLine({ name, site, owner, address, labels }: ImportAssetRow): string {
  const json = JSON.stringify(labels).replaceAll('"', '""');
  return `${uuidv7()},${name},server,${site},${owner},"${json}",${address},22,ops\n`;
}

/** What a careful person would write by hand: staged, two upserts, one transaction. */
function upsertScript(file: string): string {
  return `BEGIN;
CREATE TEMPORARY TABLE staged (id uuid, name text, kind text, site text, owner text, labels jsonb, address text, port integer, username text)
  ON COMMIT DROP;
\\copy staged FROM '${file}' WITH (FORMAT csv)
ANALYZE staged;
INSERT INTO asset AS a (id, space, name, kind, site, owner, labels)
  SELECT id, 'default', name, kind, site, owner, labels FROM staged
  ON CONFLICT (space, name) DO UPDATE SET kind = excluded.kind, site = excluded.site, owner = excluded.owner,
    labels = a.labels || excluded.labels, updated_at = clock_timestamp();
INSERT INTO endpoint (asset_id, transport, address, port, username, source)
  SELECT a.id, 'ssh', s.address, s.port, s.username, 'import:csv' FROM staged s JOIN asset a ON a.space = 'default' AND a.name = s.name
  ON CONFLICT (asset_id, transport) DO UPDATE SET address = excluded.address, port = excluded.port, username = excluded.username,
    source = excluded.source, updated_at = clock_timestamp();
COMMIT;
`;
}

/** CPU of this process alone; what Postgres spends is in the wall time. */
async function measured(work: () => Promise<void>): Promise<Sample> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const wallMs = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

/** The entities as a plain TypeORM program would save them, in chunks of one transaction; scaled to all assets. */
async function saveByTypeorm(dataSource: DataSource): Promise<Sample> {
  const now = new Date();
  const assets = rows.slice(0, SAVED).map((row) => {
    const { name, site, owner, labels } = row;
    const asset = { id: uuidv7(), space: 'default', name, kind: 'server', site, owner, lifecycle: 'active', labels };
    return dataSource.manager.create(AssetEntity, {
      ...asset,
      sources: {},
      createdAt: now,
      updatedAt: now,
    } as object);
  });
  const endpoints = assets.map((asset, index) =>
    dataSource.manager.create(EndpointEntity, {
      assetId: asset.id,
      transport: 'ssh',
      address: rows[index]!.address!,
      port: 22,
      username: 'ops',
      credential: null,
      hostKeys: [],
      source: 'bench',
      updatedAt: now,
    }),
  );
  const sample = await measured(() =>
    dataSource.transaction(async (transaction) => {
      await transaction.save(assets, { chunk: 1000 });
      await transaction.save(endpoints, { chunk: 1000 });
    }),
  );
  const factor = ASSETS / SAVED;
  return { wallMs: sample.wallMs * factor, cpuMs: sample.cpuMs * factor };
}
