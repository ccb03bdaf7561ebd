// Credentials: sealed before they are stored, in no answer, record or log, and readable after the key was rotated.
import { readFile, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { credentialSchema, type Credential, type Page } from '@fettle/contracts';
import { generateSealingKeyLine, SealingKeyring } from '@fettle/security';
import { startInventoryApi, type InventoryApi } from './inventory-api.js';

let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
}, 180_000);
afterAll(() => api?.close());

const answers: string[] = [];
async function call<Body>(method: string, path: string, options: Parameters<InventoryApi['call']>[2] = {}) {
  const answer = await api.call<Body>(method, path, options);
  answers.push(answer.text, JSON.stringify([...answer.headers]));
  return answer;
}

const set = (name: string, value: string, kind = 'password') =>
  call<Credential>('PUT', `/api/v1/credentials/${name}`, { body: { kind, username: 'ops', value } });

interface Stored {
  readonly space: string;
  readonly name: string;
  readonly version: number;
  readonly key_id: string;
  readonly sealed: Buffer;
}
const stored = (): Promise<Stored[]> =>
  api.sql<Stored>('SELECT space, name, version, key_id, sealed FROM credential ORDER BY name');
const keyring = async (): Promise<SealingKeyring> =>
  SealingKeyring.fromText(await readFile(api.sealingKeyFile, 'utf8'));

/** Every row of every table as text, with what bytes columns hold also read as UTF-8. */
async function everything(): Promise<string> {
  const tables = await api.sql<{ name: string }>(
    `SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const rows = await api.sql(`SELECT * FROM ${name}`);
    texts.push(
      JSON.stringify(rows),
      ...rows.flatMap((row) =>
        Object.values(row)
          .filter((value) => Buffer.isBuffer(value))
          .map(String),
      ),
    );
  }
  return texts.join('\n');
}

describe('credentials', () => {
  it('are listed without their value, and a new value is a new version', async () => {
    const first = await set('db', 'value one');
    expect(credentialSchema.parse(first.body)).toMatchObject({
      name: 'db',
      kind: 'password',
      username: 'ops',
      version: 1,
    });
    expect((await set('db', 'value two')).body).toMatchObject({ version: 2, createdAt: first.body.createdAt });
    const records = await call<Page<object>>('GET', '/api/v1/audit?objectKind=credential&objectName=db');
    expect(records.body.items).toMatchObject([
      { detail: { username: 'ops', version: 2 } },
      { detail: { kind: 'password', username: 'ops', version: 1 } },
    ]);
    const list = await call<Page<Credential>>('GET', '/api/v1/credentials');
    expect(list.body.items).toHaveLength(1);
    expect(Object.keys(list.body.items[0]!).sort()).toEqual([
      'createdAt',
      'keyId',
      'kind',
      'name',
      'space',
      'updatedAt',
      'username',
      'version',
    ]);
    const [row] = await stored();
    expect((await keyring()).open(row!.sealed, { space: 'default', name: 'db', version: 2 }).toString()).toBe(
      'value two',
    );
  });

  it('give each of many values set at once a version of its own', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, (_, index) => set('raced', `value ${index}`)));
    expect(made.map((answer) => answer.status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(made.map((answer) => answer.body.version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('leak nowhere: not in answers, not in errors, not in any table', async () => {
    const secret = `s3cret-${randomBytes(12).toString('hex')}`;
    await set('leaky', secret);
    await set('leaky', `${secret}\nsecond line`, 'ssh-private-key');
    await call('GET', '/api/v1/credentials');
    await call('GET', '/api/v1/audit?limit=1000');
    await call('GET', '/api/v1/audit/export');
    for (const body of [
      { kind: 'odd', value: secret },
      { kind: 'password', value: secret, more: secret },
      { kind: 'password', value: [secret] },
      { kind: 'password', username: `${secret} !`, value: secret },
    ]) {
      expect((await call('PUT', '/api/v1/credentials/leaky', { body })).status).toBe(400);
    }
    expect(
      (await call('PUT', '/api/v1/credentials/leaky', { raw: `{"kind":"password","value":"${secret}"` })).status,
    ).toBe(400);
    expect(
      (await call('PUT', '/api/v1/credentials/leaky?space=nowhere', { body: { kind: 'password', value: secret } }))
        .status,
    ).toBeGreaterThanOrEqual(400);
    const encodings = [
      secret,
      Buffer.from(secret).toString('base64').slice(0, -4),
      Buffer.from(secret).toString('hex'),
    ];
    const database = await everything();
    expect(database).toContain('leaky');
    for (const text of encodings) {
      expect(database.includes(text)).toBe(false);
      expect(answers.some((answer) => answer.includes(text))).toBe(false);
    }
  });

  it('can be opened with the new key alone after a rotation, and keep their versions', async () => {
    const before = await stored();
    const oldId = before[0]!.key_id;
    const line = generateSealingKeyLine();
    await writeFile(api.sealingKeyFile, (await readFile(api.sealingKeyFile, 'utf8')) + line, { mode: 0o600 });
    const newId = line.split(':')[0]!;
    expect((await call('POST', '/api/v1/credentials/rotate')).body).toEqual({
      rotated: before.length,
      more: false,
      keyId: newId,
    });
    expect((await call('POST', '/api/v1/credentials/rotate')).body).toEqual({ rotated: 0, more: false, keyId: newId });
    const after = await stored();
    expect(after.map(({ name, version }) => ({ name, version }))).toEqual(
      before.map(({ name, version }) => ({ name, version })),
    );
    const [both, onlyNew] = [await keyring(), SealingKeyring.fromText(line)];
    for (const [index, { space, name, version, sealed, key_id: keyId }] of after.entries()) {
      expect(keyId).toBe(newId);
      const identity = { space, name, version };
      expect(onlyNew.open(sealed, identity)).toEqual(both.open(before[index]!.sealed, identity));
      // Sealed for this name and version only.
      expect(() => onlyNew.open(sealed, { ...identity, version: version + 1 })).toThrow();
    }
    expect(oldId).not.toBe(newId);
    const audit = await call<{ items: { action: string; detail: object }[] }>(
      'GET',
      '/api/v1/audit?objectKind=sealing-key',
    );
    expect(audit.body.items.map((record) => [record.action, record.detail])).toEqual([
      ['credential.rotate', expect.objectContaining({ rotated: before.length })],
    ]);
    expect((await set('db', 'value three')).body).toMatchObject({ keyId: newId, version: 3 });
  });

  it('fail with a plain error, and stay, where the key that sealed one is lost', async () => {
    const before = JSON.stringify(await stored());
    const kept = await readFile(api.sealingKeyFile, 'utf8');
    await writeFile(api.sealingKeyFile, generateSealingKeyLine(), { mode: 0o600 });
    const answer = await call<{ code: string }>('POST', '/api/v1/credentials/rotate');
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 409, code: 'conflict' });
    expect(JSON.stringify(await stored())).toBe(before);
    await writeFile(api.sealingKeyFile, 'k-1:not-a-key\n', { mode: 0o600 });
    const unreadable = await set('db', 'value four');
    expect(unreadable).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(unreadable.text).not.toContain('not-a-key');
    await writeFile(api.sealingKeyFile, kept, { mode: 0o600 });
  });

  it('may be set by admins alone, and seen by those who need their names', async () => {
    const operator = await api.tokenOf('op', 'operator');
    const viewer = await api.tokenOf('vi', 'viewer');
    const body = { kind: 'token', value: 'x' };
    expect((await call('PUT', '/api/v1/credentials/theirs', { token: operator, body })).status).toBe(403);
    expect((await call('POST', '/api/v1/credentials/rotate', { token: operator })).status).toBe(403);
    expect((await call('GET', '/api/v1/credentials', { token: operator })).status).toBe(200);
    expect((await call('GET', '/api/v1/credentials', { token: viewer })).status).toBe(403);
  });
});
