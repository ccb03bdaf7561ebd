// Assets over the API: list by selector, show, set, retire, Ansible's inventory, and who may see and change what.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { assetDetailSchema, assetPageSchema, type Asset, type AssetPage, type Problem } from '@fettle/contracts';
import { evaluateSelector, parseSelector, type AssetView } from '@fettle/expression';
import { renderAnsibleInventory } from '@fettle/inventory';
import type { Answer } from '../api/api-server.js';
import { ensureDebianPackages } from '../support/debian-packages.js';
import { startInventoryApi, type InventoryApi } from './inventory-api.js';

const run = promisify(execFile);
let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
  await api.importRows(estate());
  await api.sql(`INSERT INTO asset_fact (asset_id, name, value, source, observed_at)
    SELECT id, 'os', CASE WHEN name LIKE '%1' THEN '{"family": "windows"}' WHEN name LIKE '%2' THEN '7' ELSE '{"family": "debian"}' END::jsonb,
      'gather', now() FROM asset WHERE name NOT LIKE '%9'`);
  await api.set('srv-030', { lifecycle: 'retired' });
}, 180_000);
afterAll(() => api?.close());

function estate(): object[] {
  return Array.from({ length: 120 }, (_, index) => ({
    line: index + 2,
    name: `${index % 6 === 5 ? 'lp' : 'srv'}-${String(index).padStart(3, '0')}`,
    kind: index % 6 === 5 ? 'printer' : 'server',
    ...(index % 4 === 0 ? {} : { site: index % 4 === 1 ? 'ber' : 'muc' }),
    ...(index % 3 === 0 ? { owner: `Team ${index % 5}` } : {}),
    address: `10.0.0.${index}`,
    labels: { ...(index % 7 === 0 ? {} : { env: index % 2 === 0 ? 'prod' : 'test' }), n: String(index) },
  }));
}

const list = (query: string, token?: string): Promise<Answer<AssetPage & Problem>> =>
  api.call('GET', `/api/v1/assets?${query}`, token === undefined ? {} : { token });

async function names(on: string | null, token?: string, limit = 1000): Promise<string[]> {
  const found: string[] = [];
  const selector = on === null ? '' : `&on=${encodeURIComponent(on)}`;
  for (let after = ''; ;) {
    const page = await list(`limit=${limit}${selector}${after}`, token);
    if (page.status !== 200) throw new Error(page.text);
    found.push(...page.body.items.map((asset) => asset.name));
    if (page.body.next === null) return found;
    after = `&after=${page.body.next}`;
  }
}

/** Every asset as selectors see it, read straight from the tables. */
async function views(): Promise<(AssetView & { name: string; lifecycle: string })[]> {
  return api.sql(
    `SELECT a.id, a.name, a.space, a.kind, a.owner, a.site, a.criticality, a.lifecycle, a.labels,
       a.quarantined_at IS NOT NULL AS quarantined,
       coalesce((SELECT jsonb_object_agg(f.name, f.value) FROM asset_fact f WHERE f.asset_id = a.id), '{}') AS facts
     FROM asset a WHERE a.space = 'default' ORDER BY a.name`,
  );
}

const selectors = [
  'asset.kind == "server"',
  'asset.kind == "server" && asset.labels.env == "prod" && asset.facts.os.family != "windows"',
  'asset.site == "ber" || asset.owner == "Team 2"',
  '!(asset.labels.env == "prod")',
  'asset.facts.os.family == "debian"',
  'asset.labels.n in ["1", "2", "3"] || asset.name.startsWith("lp-00")',
  'has(asset.labels.env) && !has(asset.site)',
  'asset.facts.os == 7',
  'false',
];

describe('lists', () => {
  it.each(selectors)('select by %s what evaluation in memory selects, and count the undetermined', async (on) => {
    const selector = parseSelector(on);
    const truths = (await views())
      .filter((asset) => asset.lifecycle !== 'retired')
      .map((asset) => ({ name: asset.name, truth: evaluateSelector(selector, asset) }));
    const expected = truths.filter(({ truth }) => truth === true).map(({ name }) => name);
    expect((await names(on)).sort()).toEqual(expected.sort());
    const page = await list(`limit=1&undetermined=true&on=${encodeURIComponent(on)}`);
    expect(page.body.undetermined).toBe(truths.filter(({ truth }) => truth === 'unknown').length);
  });

  it('page by name without gaps or repetition, whatever the size of a page', async () => {
    const all = await names(null);
    expect(all).toHaveLength(119);
    expect(new Set(all).size).toBe(119);
    for (const limit of [1, 7, 118, 119, 120]) expect(await names(null, undefined, limit)).toEqual(all);
    const page = assetPageSchema.parse((await list('limit=5')).body);
    expect(page).not.toHaveProperty('undetermined');
    expect(page.items.every((asset) => asset.endpoint !== null)).toBe(true);
  });

  it('leave retired assets out unless asked', async () => {
    expect(await names(null)).not.toContain('srv-030');
    const page = await list('retired=true&limit=1000');
    expect(page.body.items.map((asset) => asset.name)).toContain('srv-030');
  });

  it.each([
    ['on=asset.nme', 422, 'invalid-expression'],
    ['on=asset.kind', 422, 'invalid-expression'],
    [`on=${'('.repeat(3000)}`, 422, 'invalid-expression'],
    ['after=x', 400, 'invalid-cursor'],
    ['limit=0', 400, 'invalid-request'],
    ['limit=1001', 400, 'invalid-request'],
    ['space=No Such', 400, 'invalid-request'],
    ['retired=perhaps', 400, 'invalid-request'],
  ])('refuse %s', async (query, status, code) => {
    expect(await list(query.replace(' ', '%20'))).toMatchObject({ status, body: { code } });
  });
});

describe('setting by hand', () => {
  it('creates, changes only what is given, clears with null, and records before and after', async () => {
    const created = await api.set('by-hand', { kind: 'database', site: 'ber', labels: { env: 'prod', team: 'a' } });
    expect(created).toMatchObject({ kind: 'database', site: 'ber', lifecycle: 'active', endpoint: null });
    const changed = await api.set('by-hand', { site: null, labels: { team: null, tier: '1' }, reason: 'moved' });
    expect(changed).toMatchObject({ kind: 'database', site: null, labels: { env: 'prod', tier: '1' } });
    expect(Object.keys(changed.labels).sort()).toEqual(['env', 'tier']);
    const audit = await api.call<{ items: { action: string; detail: object }[] }>(
      'GET',
      '/api/v1/audit?objectKind=asset&objectName=by-hand',
    );
    const byAction = Object.fromEntries(audit.body.items.map((record) => [record.action, record.detail]));
    expect(byAction['asset.create']).toMatchObject({ before: null, after: { kind: 'database', site: 'ber' } });
    expect(byAction['asset.set']).toMatchObject({
      before: { site: 'ber', labels: { env: 'prod', team: 'a' } },
      after: { site: null, labels: { env: 'prod', tier: '1' } },
      reason: 'moved',
    });
    assetDetailSchema.parse(await api.asset('by-hand'));
  });

  it('changes and records nothing where everything is set already', async () => {
    const body = {
      kind: 'server',
      owner: 'x',
      labels: { a: 'b' },
      endpoint: { address: 'h', port: 23, credential: 'k' },
    };
    await api.call('PUT', '/api/v1/credentials/k', { body: { kind: 'password', value: 'x' } });
    await api.set('twice', body);
    const [before, records] = [await api.tables(), await api.sql('SELECT count(*)::int AS count FROM audit_record')];
    await api.set('twice', body);
    await api.set('twice', { labels: { gone: null } });
    await api.set('twice', { labels: { gone: null } });
    expect(await api.sql('SELECT count(*)::int AS count FROM audit_record')).toEqual([
      { count: (records[0]!.count as number) + 1 },
    ]);
    await api.sql(`UPDATE asset SET sources = sources - 'label.gone' WHERE name = 'twice'`);
    expect((await api.tables()).replaceAll(/"updated_at":"[^"]*"/g, '')).toBe(
      before.replaceAll(/"updated_at":"[^"]*"/g, ''),
    );
  });

  it('lifts a quarantine only with a reason', async () => {
    await api.set('ill', {});
    await api.sql(`UPDATE asset SET quarantined_at = now(), quarantine_reason = 'key changed' WHERE name = 'ill'`);
    const refused = await api.call('PUT', '/api/v1/assets/ill', { body: { quarantined: false } });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
    expect(await api.set('ill', { owner: 'me' })).toMatchObject({ quarantine: { reason: 'key changed' } });
    expect(await api.set('ill', { quarantined: false, reason: 'looked at it' })).toMatchObject({ quarantine: null });
  });

  it('retires what is there and creates nothing that is not', async () => {
    await api.set('old', { kind: 'server' });
    const retire = (name: string) =>
      api.call('POST', `/api/v1/assets/${name}/retire`, { body: { reason: 'scrapped' } });
    expect(await retire('old')).toMatchObject({ status: 200, body: { lifecycle: 'retired' } });
    expect(await retire('never-there')).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect((await api.call('GET', '/api/v1/assets/never-there')).status).toBe(404);
  });

  it('takes no credential that does not exist', async () => {
    const body = { endpoint: { address: '10.1.1.1', credential: 'no-such-key' } };
    const refused = await api.call<Problem>('PUT', '/api/v1/assets/with-typo', { body });
    expect(refused).toMatchObject({ status: 422, body: { code: 'unknown-value' } });
    expect(refused.body.detail).toContain('"no-such-key"');
    expect((await api.call('GET', '/api/v1/assets/with-typo')).status).toBe(404);
    // What an import brought already may stay as it is.
    await api.importRows([{ line: 2, name: 'imported', address: '10.1.1.2', credential: 'no-such-key' }]);
    expect(await api.set('imported', { endpoint: { port: 2222, credential: 'no-such-key' } })).toBeDefined();
  });

  it('makes one asset of many requests at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        api.call<Asset>('PUT', '/api/v1/assets/at-once', { body: { labels: { [`l${index}`]: 'x' } } }),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 12 }, () => 200));
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(Object.keys((await api.asset('at-once')).labels)).toHaveLength(12);
  });

  it.each([
    [{ kind: 'toaster' }],
    [{ site: '' }],
    [{ site: 'zero \0' }],
    [{ owner: 'half \ud800' }],
    [{ labels: { 'no key': 'x' } }],
    [{ labels: { a: 'line\nbreak' } }],
    [{ labels: Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`l${index}`, 'x'])) }],
    [{ endpoint: { address: '-oProxyCommand=x' } }],
    [{ endpoint: { address: 'a b' } }],
    [{ endpoint: { hostKeys: ['ssh-ed25519'] } }],
    [{ endpoint: { username: '-l' } }],
    [{ unknown: 1 }],
    [{ quarantined: true }],
    [[]],
  ])('refuses %j', async (body) => {
    const before = await api.tables();
    expect(await api.call('PUT', '/api/v1/assets/by-hand', { body })).toMatchObject({ status: 400 });
    expect(await api.tables()).toBe(before);
  });

  it.each(['-x', 'x-', 'a b', '..', 'x'.repeat(254), 'ä', '%00'])('refuses the name %j', async (name) => {
    const path = `/api/v1/assets/${name === '%00' ? name : encodeURIComponent(name)}`;
    expect([400, 404]).toContain((await api.call('PUT', path, { body: {} })).status);
  });
});

describe('a role narrowed by a selector', () => {
  let token: string;
  beforeAll(async () => {
    token = await api.tokenOf('ber-operator', 'operator', 'asset.site == "ber" && asset.kind == "server"');
  });

  it('shows and counts only what it covers', async () => {
    const own = (await views())
      .filter((asset) => asset.site === 'ber' && asset.kind === 'server')
      .map(({ name }) => name);
    expect((await names(null, token)).sort()).toEqual(own.sort());
    expect(await names('asset.site == "muc"', token)).toEqual([]);
    const other = `undetermined=true&on=${encodeURIComponent('asset.facts.os.family == "debian"')}`;
    const seen = (await list(other, token)).body.undetermined!;
    expect(seen).toBeGreaterThan(0);
    expect(seen).toBeLessThan((await list(other)).body.undetermined!);
    const inventory = await api.call<{ _meta: { hostvars: object } }>('GET', '/api/v1/inventory/ansible', { token });
    expect(Object.keys(inventory.body._meta.hostvars).sort()).toEqual(own.sort());
  });

  it('treats the rest as if it were not there', async () => {
    const hidden = ['GET', 'PUT', 'POST retire', 'POST enrol'];
    for (const name of ['srv-002', 'not-there-at-all']) {
      for (const how of hidden) {
        const [method = '', action] = how.split(' ');
        const path = `/api/v1/assets/${name}${action === undefined ? '' : `/${action}`}`;
        const answer = await api.call<Problem>(method, path, { token, ...(method === 'GET' ? {} : { body: {} }) });
        expect(answer).toMatchObject({ status: 404, body: { code: 'not-found' } });
        // The same words for what is hidden and what does not exist.
        expect(answer.body.detail).toBe(`There is no asset "${name}" in space "default".`);
      }
    }
    expect((await api.call('GET', '/api/v1/assets/srv-001', { token })).status).toBe(200);
  });
});

describe("Ansible's inventory", () => {
  it('is what the assets are, narrowed by a selector', async () => {
    const answer = await api.call<{ _meta: { hostvars: Record<string, object> } }>(
      'GET',
      `/api/v1/inventory/ansible?on=${encodeURIComponent('asset.site == "ber"')}`,
    );
    expect(answer.status).toBe(200);
    const rows = await api.sql<{ name: string; kind: string; labels: Record<string, string> }>(
      `SELECT a.name, a.kind, a.site, a.owner, a.criticality, a.lifecycle, a.labels, e.address, e.port, e.username AS user
       FROM asset a LEFT JOIN endpoint e ON e.asset_id = a.id WHERE a.site = 'ber' AND a.lifecycle <> 'retired'`,
    );
    expect(rows.length).toBeGreaterThan(20);
    expect(answer.body).toEqual(JSON.parse(JSON.stringify(renderAnsibleInventory(rows))));
  });

  it('is read by ansible-inventory itself', async () => {
    await ensureDebianPackages(['ansible-core']);
    const text = (await api.call('GET', '/api/v1/inventory/ansible')).text;
    const folder = await mkdtemp('/tmp/fettle-ansible-');
    try {
      await writeFile(join(folder, 'list.json'), text);
      const script = `#!/bin/sh\ncat '${join(folder, 'list.json')}'\n`;
      await writeFile(join(folder, 'inventory'), script, { mode: 0o755 });
      const { stdout } = await run('ansible-inventory', ['-i', join(folder, 'inventory'), '--list'], {
        env: { PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8' },
        maxBuffer: 2 ** 26,
      });
      const read = JSON.parse(stdout) as {
        _meta: { hostvars: Record<string, Record<string, unknown>> };
        kind_printer: { hosts: string[] };
      };
      expect(Object.keys(read._meta.hostvars).sort()).toEqual((await names(null)).sort());
      expect(read._meta.hostvars['srv-001']).toMatchObject({ ansible_host: '10.0.0.1', fettle_site: 'ber' });
      expect(read.kind_printer.hosts.sort()).toEqual((await names('asset.kind == "printer"')).sort());
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 120_000);
});
