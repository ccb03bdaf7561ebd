import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { auditExportLineSchema, type AuditExportLine, type AuditRecordView } from '@fettle/contracts';
import { createDataSource } from '@fettle/database';
import { AUDIT_ORIGIN, exportAudit, sealBatch } from '@fettle/operations';
import { generateSigningKeyPem, signCheckpoint } from '@fettle/security';
import { verifyLog, type LogRecord, type JsonValue } from '@fettle/security/verify';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;
let dataSource: Awaited<ReturnType<typeof createDataSource>>;
/** Checkpoints as the sealer's file outside the database keeps them. */
let kept: string[];
let actor: string;

beforeAll(async () => {
  api = await startApi();
  actor = await api.tokenOf('acting', 'admin');
  dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 4, applicationName: 'test' });
}, 180_000);
afterAll(async () => {
  await dataSource?.destroy();
  await api?.close();
});

async function seal(limit = 7): Promise<number> {
  let sealed = 0;
  for (let more = true; more;) {
    const batch = await dataSource.transaction((transaction) =>
      sealBatch(transaction, { limit, sign: (tree) => signCheckpoint(api.signer, tree) }),
    );
    if (batch.note !== null) kept.push(batch.note);
    sealed += batch.sealed;
    more = batch.isFull;
  }
  return sealed;
}

async function makeRecords(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const body = { principal: 'acting', name: `token ${index}` };
    expect((await api.call('POST', '/api/v1/tokens', { body, token: actor })).status).toBe(201);
  }
}

async function exported(): Promise<AuditExportLine[]> {
  const answer = await api.call<string>('GET', '/api/v1/audit/export');
  expect(answer.headers.get('content-type')).toMatch(/ndjson/);
  const lines = answer.text.trimEnd().split('\n');
  return lines.map((line) => auditExportLineSchema.parse(JSON.parse(line)));
}

function recordOf(line: Extract<AuditExportLine, { type: 'record' }>): LogRecord {
  return {
    position: line.position,
    bytes: Buffer.from(line.canonical, 'base64'),
    leafHash: Buffer.from(line.leafHash, 'hex'),
    shown: line.shown as Record<string, JsonValue>,
  };
}

/** The lines of an export verified by their own checkpoints. */
function verifyLines(lines: readonly AuditExportLine[]): ReturnType<typeof verifyLog> {
  return verifyLog({
    records: lines.filter((line) => line.type === 'record').map(recordOf),
    checkpoints: lines.filter((line) => line.type === 'checkpoint').map((line) => line.note),
    publicKey: api.signer.publicKeyPem,
    origin: AUDIT_ORIGIN,
  });
}

/** What `fettle audit verify` does: the export against checkpoints kept elsewhere. */
async function verify(): ReturnType<typeof verifyLog> {
  const lines = await exported();
  const records = lines.filter((line) => line.type === 'record').map(recordOf);
  const key = await api.call<{ publicKeyPem: string; origin: string }>('GET', '/api/v1/audit/key');
  expect(key.body.origin).toBe(AUDIT_ORIGIN);
  expect(key.body.publicKeyPem).toBe(api.signer.publicKeyPem);
  return verifyLog({ records, checkpoints: kept, publicKey: key.body.publicKeyPem, origin: key.body.origin });
}

async function kindsFound(): Promise<string[]> {
  const report = await verify();
  expect(report.ok).toBe(report.findings.length === 0);
  return [...new Set(report.findings.map((finding) => finding.kind))];
}

/** Runs a falsification and takes it back afterwards. */
async function falsified(statements: string[], check: () => Promise<void>): Promise<void> {
  const tables = ['audit_record', 'audit_leaf', 'audit_tree', 'audit_unsealed', 'audit_checkpoint'];
  for (const table of tables) await api.sql(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`);
  try {
    for (const statement of statements) await api.sql(statement);
    await check();
  } finally {
    for (const table of tables) {
      await api.sql(`DELETE FROM ${table}`);
      await api.sql(`INSERT INTO ${table} SELECT * FROM kept_${table}`);
      await api.sql(`DROP TABLE kept_${table}`);
    }
  }
}

describe('sealing', () => {
  beforeAll(async () => {
    kept = [];
    await makeRecords(20);
    await seal();
  });

  it('gives positions from 0 without gaps, each record once, in order of the ids', async () => {
    const rows = await api.sql<{ position: string; record_id: string }>(
      'SELECT position, record_id FROM audit_leaf ORDER BY position',
    );
    expect(rows.length).toBeGreaterThanOrEqual(20);
    expect(rows.map((row) => Number(row.position))).toEqual(rows.map((_row, index) => index));
    expect(rows.map((row) => row.record_id)).toEqual(rows.map((row) => row.record_id).sort());
    expect(await api.sql('SELECT * FROM audit_unsealed')).toEqual([]);
  });

  it('keeps positions contiguous when several sealers and writers work at once', async () => {
    const work = [makeRecords(15), makeRecords(15), seal(3), seal(2), seal(4)];
    await Promise.all(work);
    await seal();
    const [row] = await api.sql<{ n: number; top: number; size: number }>(
      'SELECT count(*)::int AS n, max(position)::int AS top, (SELECT size::int FROM audit_tree) AS size FROM audit_leaf',
    );
    expect(row).toMatchObject({ n: row!.size, top: row!.size - 1 });
    expect(await kindsFound()).toEqual([]);
  });

  it('seals nothing where the signature fails', async () => {
    await makeRecords(1);
    const failing = dataSource.transaction((transaction) =>
      sealBatch(transaction, {
        limit: 10,
        sign: () => {
          throw new Error('no key');
        },
      }),
    );
    await expect(failing).rejects.toThrow('no key');
    expect(await api.sql('SELECT * FROM audit_unsealed')).toHaveLength(1);
    expect(await seal()).toBe(1);
  });
});

describe('verification of the log as the API exports it', () => {
  beforeEach(async () => {
    await seal();
  });

  it('finds nothing in a log that nobody touched, and counts what is not sealed', async () => {
    await makeRecords(3);
    const report = await verify();
    expect(report).toMatchObject({ ok: true, unsealedCount: 3, uncoveredCount: 0, findings: [] });
    expect(report.provenSize).toBe(report.size);
    const end = (await exported()).at(-1);
    expect(end).toEqual({ type: 'end', sealed: report.size, unsealed: 3 });
  });

  const at = '(SELECT record_id FROM audit_leaf WHERE position = 5)';
  const edit = `UPDATE audit_record SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), 'token', 'tokem'), 'UTF8') WHERE id = ${at}`;
  const rehash = `UPDATE audit_record SET leaf_hash = sha256('\\x00'::bytea || canonical) WHERE id = ${at}`;
  const releaf = `UPDATE audit_leaf SET leaf_hash = (SELECT leaf_hash FROM audit_record WHERE id = record_id) WHERE position = 5`;

  it.each<[string, string[], string]>([
    ['an edit', [edit], 'edited'],
    ['an edit with a new hash', [edit, rehash], 'edited'],
    ['an edit with new hashes everywhere', [edit, rehash, releaf], 'checkpoint-mismatch'],
    ['another value shown than hashed', [`UPDATE audit_record SET action = 'token.list' WHERE id = ${at}`], 'edited'],
    ['a deleted record', [`DELETE FROM audit_record WHERE id = ${at}`], 'deleted'],
    ['a deleted leaf', ['DELETE FROM audit_leaf WHERE position = 5'], 'deleted'],
    [
      'two exchanged records',
      [
        'CREATE TABLE swap AS SELECT * FROM audit_leaf WHERE position IN (5, 9)',
        'DELETE FROM audit_leaf WHERE position IN (5, 9)',
        'INSERT INTO audit_leaf SELECT 14 - position, record_id, leaf_hash FROM swap',
        'DROP TABLE swap',
      ],
      'reordered',
    ],
  ])('finds %s', async (_name, statements, kind) => {
    await falsified(statements, async () => {
      const kinds = await kindsFound();
      expect(kinds.length).toBeGreaterThan(0);
      // Hashes alone cannot always tell an exchange from an edit.
      if (kind === 'reordered') expect(['reordered', 'checkpoint-mismatch']).toContain(kinds[0]);
      else expect(kinds).toContain(kind);
    });
    expect(await kindsFound()).toEqual([]);
  });

  it('finds nothing where batches are sealed while the log is read', async () => {
    const lines: AuditExportLine[] = [];
    for await (const line of exportAudit(dataSource.manager)) {
      if (lines.length === 0) {
        await makeRecords(2);
        await seal();
      }
      lines.push(line);
    }
    const report = await verifyLines(lines);
    expect(report).toMatchObject({ ok: true, uncoveredCount: 0, unsealedCount: 2, findings: [] });
  });

  it('has the newest checkpoint and the last one of each earlier hour', async () => {
    for (let batch = 0; batch < 6; batch += 1) {
      await makeRecords(1);
      await seal();
    }
    const rows = await api.sql<{ size: string; note: string }>('SELECT size, note FROM audit_checkpoint ORDER BY size');
    const hours = rows.map((_row, index) => Math.floor((rows.length - 1 - index) / 3));
    await api.sql(
      `UPDATE audit_checkpoint c SET at = date_trunc('hour', now()) - h.hour * interval '1 hour' + interval '1 minute'
       FROM unnest($1::bigint[], $2::int[]) AS h (size, hour) WHERE c.size = h.size`,
      [rows.map(({ size }) => size), hours],
    );
    const notes = (await exported()).filter((line) => line.type === 'checkpoint').map((line) => line.note);
    expect(notes).toEqual(rows.filter((_row, index) => hours[index] !== hours[index + 1]).map(({ note }) => note));
    expect(notes.at(-1)).toBe(rows.at(-1)?.note);
    expect(await kindsFound()).toEqual([]);
  });

  it('finds the end cut off where the newest checkpoint was left', async () => {
    await falsified(['DELETE FROM audit_leaf WHERE position >= 10', 'UPDATE audit_tree SET size = 10'], async () => {
      const report = await verifyLines(await exported());
      expect(report.findings).toEqual([expect.objectContaining({ kind: 'truncated', position: 10 })]);
    });
  });

  it('finds the end cut off, although tree and checkpoints in the database were cut as well', async () => {
    const cut = [
      'DELETE FROM audit_record WHERE id IN (SELECT record_id FROM audit_leaf WHERE position >= 10)',
      'DELETE FROM audit_leaf WHERE position >= 10',
      'DELETE FROM audit_checkpoint WHERE size > 10',
      'UPDATE audit_tree SET size = 10',
    ];
    await falsified(cut, async () => {
      const report = await verify();
      expect(report.findings).toEqual([expect.objectContaining({ kind: 'truncated', position: 10 })]);
    });
  });
});

describe('the public key of the log', () => {
  it('needs no private key where it has a file of its own, which takes none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fettle-audit-key-'));
    const auditPublicKeyFile = join(folder, 'audit.pub');
    await writeFile(auditPublicKeyFile, api.signer.publicKeyPem, { mode: 0o644 });
    const other = await startApi({ auditKeyFile: join(folder, 'none'), auditPublicKeyFile });
    try {
      const { publicKeyPem, verifierKey } = api.signer;
      const key = await other.call('GET', '/api/v1/audit/key');
      expect(key).toMatchObject({ status: 200, body: { origin: AUDIT_ORIGIN, publicKeyPem, verifierKey } });
      await writeFile(auditPublicKeyFile, generateSigningKeyPem());
      expect(await other.call('GET', '/api/v1/audit/key')).toMatchObject({
        status: 503,
        body: { code: 'unavailable' },
      });
    } finally {
      await other.close();
      await rm(folder, { recursive: true, force: true });
    }
  }, 60_000);
});

describe('the audit list', () => {
  it('shows who did what, filtered, newest first, by pages', async () => {
    await makeRecords(5);
    const page = await api.call<{ items: AuditRecordView[]; next: string | null }>(
      'GET',
      '/api/v1/audit?objectKind=token&principal=acting&limit=3',
    );
    expect(page.body.items).toHaveLength(3);
    for (const item of page.body.items) {
      expect(item).toMatchObject({
        action: 'token.create',
        principal: 'acting',
        space: 'default',
        object: { kind: 'token' },
      });
    }
    const ids = page.body.items.map((item) => item.id);
    expect(ids).toEqual([...ids].sort().reverse());
    const next = await api.call<{ items: AuditRecordView[] }>(
      'GET',
      `/api/v1/audit?objectKind=token&principal=acting&limit=3&after=${page.body.next}`,
    );
    expect(next.body.items[0]!.id < ids.at(-1)!).toBe(true);
    const later = await api.call<{ items: unknown[] }>(
      'GET',
      `/api/v1/audit?from=${new Date(Date.now() + 60_000).toISOString()}`,
    );
    expect(later.body.items).toEqual([]);
    const named = await api.call<{ items: AuditRecordView[] }>(
      'GET',
      '/api/v1/audit?objectKind=principal&objectName=acting',
    );
    expect(named.body.items.map((item) => item.action)).toEqual(['principal.create']);
    for (const [action, count] of Object.entries({ 'principal.': 1, rincipal: 0, 'principal%': 0 })) {
      const path = `/api/v1/audit?objectName=acting&action=${encodeURIComponent(action)}`;
      expect((await api.call<{ items: unknown[] }>('GET', path)).body.items).toHaveLength(count);
    }
  });

  it('shows what changes the rights of a principal in each space where it has a role, and there alone', async () => {
    await api.sql(`INSERT INTO space (name) VALUES ('there'), ('elsewhere')`);
    await api.sql(`INSERT INTO role_binding (id, principal_id, role, space, selector)
      SELECT gen_random_uuid(), id, 'admin', s, NULL FROM principal, unnest('{there,elsewhere}'::text[]) AS s
      WHERE name = 'local-admin'`);
    // Rights are kept for some seconds.
    await api.tokenOf('clears-rights', 'viewer');
    const bindings = ['default', 'there'].flatMap((space) => [
      { role: 'viewer', space },
      { role: 'operator', space, selector: `asset.site == "${space}"` },
    ]);
    expect((await api.call('POST', '/api/v1/principals', { body: { name: 'both', bindings } })).status).toBe(201);
    const token = await api.call<{ id: string }>('POST', '/api/v1/tokens', { body: { principal: 'both', name: 'x' } });
    expect((await api.call('POST', `/api/v1/tokens/${token.body.id}/revoke`)).status).toBe(200);
    expect((await api.call('POST', '/api/v1/principals/both/revoke')).status).toBe(200);
    const records = async (space: string, action: string) =>
      (await api.call<{ items: AuditRecordView[] }>('GET', `/api/v1/audit?space=${space}&limit=20`)).body.items.filter(
        (item) => item.action === action && [item.object.name, item.detail.principal].includes('both'),
      );
    for (const action of ['principal.create', 'token.create', 'token.revoke', 'principal.revoke']) {
      for (const space of ['default', 'there']) expect(await records(space, action)).toMatchObject([{ space }]);
      expect(await records('elsewhere', action)).toEqual([]);
    }
    const [made] = await records('there', 'principal.create');
    expect(made?.detail.bindings).toMatchObject([
      { role: 'viewer', space: 'there' },
      { role: 'operator', space: 'there' },
    ]);
  });

  it('carries the request id of the change, and has no record of a change that was refused', async () => {
    const headers = { 'x-request-id': 'request-of-this-test' };
    const before = await api.sql<{ n: string }>('SELECT count(*) AS n FROM audit_record');
    const refused = await api.call('POST', '/api/v1/tokens', { body: { principal: 'nobody', name: 'x' }, headers });
    expect(refused.status).toBe(404);
    expect(await api.sql('SELECT count(*) AS n FROM audit_record')).toEqual(before);
    await api.call('POST', '/api/v1/tokens', { body: { principal: 'acting', name: 'named' }, headers });
    const list = await api.call<{ items: AuditRecordView[] }>('GET', '/api/v1/audit?limit=1');
    expect(list.body.items[0]!.detail).toMatchObject({ requestId: 'request-of-this-test' });
  });
});
