import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Asset, AssetDetail, ImportResult, Problem } from '@fettle/contracts';
import { generateSealingKeyLine } from '@fettle/security';
import { startApi, type Answer, type TestApi } from '../api/api-server.js';

export interface InventoryApi extends TestApi {
  readonly sealingKeyFile: string;
  /** Posts rows as NDJSON. */
  importRows(rows: readonly unknown[], options?: ImportOptions): Promise<Answer<ImportResult & Problem>>;
  /** Creates or changes an asset by hand; fails the test where the API refuses. */
  set(name: string, body: object): Promise<Asset>;
  asset(name: string): Promise<AssetDetail>;
  /** Each asset with its endpoint as the tables hold them, times and all. */
  tables(): Promise<string>;
}

export interface ImportOptions {
  readonly dryRun?: boolean;
  readonly format?: 'csv' | 'ansible';
  readonly token?: string;
  /** Sent as it is. */
  readonly raw?: string | Uint8Array;
}

/** The real API with a database and sealing keys of its own, and short ways to the inventory. */
export async function startInventoryApi(): Promise<InventoryApi> {
  const keys = await mkdtemp(join(tmpdir(), 'fettle-keys-'));
  const sealingKeyFile = join(keys, 'sealing');
  await writeFile(sealingKeyFile, generateSealingKeyLine(), { mode: 0o600 });
  const api = await startApi({ sealingKeyFile });
  return {
    ...api,
    sealingKeyFile,
    importRows: (rows, { dryRun = false, format = 'csv', token, raw } = {}) =>
      api.call('POST', `/api/v1/assets/import?dryRun=${dryRun}&format=${format}`, {
        raw: raw ?? rows.map((row) => `${JSON.stringify(row)}\n`).join(''),
        headers: { 'content-type': 'application/x-ndjson' },
        ...(token === undefined ? {} : { token }),
      }),
    set: async (name, body) => ok(await api.call<Asset>('PUT', `/api/v1/assets/${name}`, { body })),
    asset: async (name) => ok(await api.call<AssetDetail>('GET', `/api/v1/assets/${name}`)),
    tables: async () =>
      JSON.stringify(
        await api.sql(
          `SELECT to_jsonb(a) AS asset, to_jsonb(e) AS endpoint FROM asset a LEFT JOIN endpoint e ON e.asset_id = a.id ORDER BY a.name`,
        ),
      ),
    close: async () => {
      await api.close();
      await rm(keys, { recursive: true, force: true });
    },
  };
}

function ok<Body>(answer: Answer<Body>): Body {
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body;
}
