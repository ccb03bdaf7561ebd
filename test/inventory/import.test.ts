// Imports through the API into a real Postgres: all or nothing, idempotent, and never over what a person set.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseCsvInventory } from '@fettle/inventory';
import { startInventoryApi, type InventoryApi } from './inventory-api.js';

const hostKey = `ssh-ed25519 ${Buffer.alloc(51, 3).toString('base64')}`;

let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
}, 180_000);
afterAll(() => api?.close());

interface Row {
  readonly line: number;
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly [column: string]: unknown;
}

const full: Row = {
  line: 2,
  name: 'web-01.ber',
  kind: 'server',
  site: 'ber',
  owner: 'Team Ä, west',
  criticality: 'high',
  lifecycle: 'active',
  address: '10.0.0.11',
  port: 2222,
  user: 'ops',
  credential: 'ops-key',
  hostKey,
  labels: { env: 'prod', 'app.kubernetes.io/name': 'shop' },
};

const importRecords = () =>
  api
    .call<{ items: { action: string; detail: Record<string, unknown> }[] }>(
      'GET',
      '/api/v1/audit?objectKind=asset&limit=1000',
    )
    .then((answer) => answer.body.items.filter((record) => record.action === 'asset.import'));

describe('what an import does', () => {
  it('creates assets with all that a row gives, and names the credentials that are missing', async () => {
    const answer = await api.importRows([full, { line: 3, name: 'lp-3rd-floor', kind: 'printer' }]);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        dryRun: false,
        created: 2,
        changed: 0,
        unchanged: 0,
        warnings: [{ code: 'credential-missing', severity: 'warning', message: expect.stringContaining('"ops-key"') }],
      },
    });
    expect(await api.asset('web-01.ber')).toMatchObject({
      kind: 'server',
      site: 'ber',
      owner: 'Team Ä, west',
      criticality: 'high',
      lifecycle: 'active',
      labels: full.labels,
      endpoint: { address: '10.0.0.11', port: 2222, username: 'ops', credential: 'ops-key', hostKeys: [hostKey] },
      sources: { site: 'import:csv', 'label.env': 'import:csv' },
    });
    expect(await api.asset('lp-3rd-floor')).toMatchObject({ kind: 'printer', endpoint: null, labels: {} });
    const [record] = await importRecords();
    expect(record?.detail).toMatchObject({ format: 'csv', rows: 2, created: 2, changed: 0 });
    expect(record?.detail.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('changes nothing the second time: no time, no source, no record', async () => {
    const [before, records] = [await api.tables(), (await importRecords()).length];
    const rows = [full, { line: 3, name: 'lp-3rd-floor', kind: 'printer' }];
    expect((await api.importRows(rows)).body).toMatchObject({ created: 0, changed: 0, unchanged: 2 });
    // Another format gives the same values: who owns them stays, too.
    expect((await api.importRows(rows, { format: 'ansible' })).body).toMatchObject({ changed: 0, unchanged: 2 });
    expect(await api.tables()).toBe(before);
    expect(await importRecords()).toHaveLength(records);
  });

  it('leaves what is absent as it is, merges labels, and counts an asset once whatever changes of it', async () => {
    const untouched = JSON.stringify(await api.asset('lp-3rd-floor'));
    const row = { line: 2, name: 'web-01.ber', site: 'muc', address: '10.0.0.12', labels: { env: 'test', tier: '1' } };
    expect((await api.importRows([row])).body).toMatchObject({ created: 0, changed: 1, unchanged: 0 });
    expect(await api.asset('web-01.ber')).toMatchObject({
      site: 'muc',
      owner: 'Team Ä, west',
      labels: { env: 'test', tier: '1', 'app.kubernetes.io/name': 'shop' },
      endpoint: { address: '10.0.0.12', port: 2222, username: 'ops', hostKeys: [hostKey] },
    });
    expect(JSON.stringify(await api.asset('lp-3rd-floor'))).toBe(untouched);
    // Only the endpoint, then a new endpoint of an asset that had none.
    expect((await api.importRows([{ line: 2, name: 'web-01.ber', port: 22 }])).body).toMatchObject({ changed: 1 });
    expect((await api.importRows([{ line: 2, name: 'lp-3rd-floor', user: 'lp' }])).body).toMatchObject({ changed: 1 });
    expect((await api.asset('lp-3rd-floor')).endpoint).toMatchObject({
      address: 'lp-3rd-floor',
      port: 22,
      username: 'lp',
    });
  });

  it('keeps what a person set by hand, says so, and gives way where the person did not', async () => {
    await api.importRows([{ ...full, name: 'kept' }]);
    await api.set('kept', {
      site: 'lon',
      owner: null,
      labels: { env: 'staging', 'app.kubernetes.io/name': null },
      endpoint: { address: '10.9.9.9' },
    });
    const row = { ...full, name: 'kept', port: 2200, labels: { ...full.labels, tier: '2' } };
    expect((await api.importRows([row])).body).toMatchObject({
      changed: 1,
      warnings: [
        { code: 'kept-by-hand', count: 1, message: '1 asset keeps values that a person set by hand.' },
        { code: 'credential-missing' },
      ],
    });
    expect(await api.asset('kept')).toMatchObject({
      site: 'lon',
      owner: null,
      labels: { env: 'staging', tier: '2' },
      endpoint: { address: '10.9.9.9', port: 2200 },
      sources: {
        site: 'person',
        owner: 'person',
        'label.env': 'person',
        'label.tier': 'import:csv',
        criticality: 'import:csv',
      },
    });
    expect((await api.asset('kept')).labels).not.toHaveProperty(['app.kubernetes.io/name']);
    const before = await api.tables();
    expect((await api.importRows([row])).body).toMatchObject({
      changed: 0,
      unchanged: 1,
      warnings: [{ code: 'kept-by-hand' }, {}],
    });
    expect(await api.tables()).toBe(before);
  });

  it('does everything in a dry run and takes it back', async () => {
    const [before, records] = [await api.tables(), (await importRecords()).length];
    const rows = [
      { line: 2, name: 'web-01.ber', site: 'ams' },
      { line: 3, name: 'new-one' },
      { line: 4, name: 'kept' },
    ];
    expect((await api.importRows(rows, { dryRun: true })).body).toMatchObject({
      dryRun: true,
      created: 1,
      changed: 1,
      unchanged: 1,
    });
    expect(await api.tables()).toBe(before);
    expect(await importRecords()).toHaveLength(records);
    expect((await api.importRows(rows)).body).toMatchObject({ dryRun: false, created: 1, changed: 1, unchanged: 1 });
  });

  it('never retires and takes an empty file for what it is', async () => {
    const before = await api.tables();
    expect((await api.importRows([])).body).toMatchObject({ created: 0, changed: 0, unchanged: 0, warnings: [] });
    expect(await api.tables()).toBe(before);
  });
});

describe('what an import refuses', () => {
  it('reports all wrong rows at once with their lines, and imports none', async () => {
    const before = await api.tables();
    const rows = [
      { line: 2, name: 'fine' },
      { line: 3, name: '-odd' },
      { line: 4, name: 'a', kind: 'toaster', port: 70_000 },
      { line: 5, name: 'b', labels: { 'not a key': 'x' } },
      { line: 6, name: 'c', site: 'two\nlines' },
      { line: 7, name: 'd', owner: 'zero \0 byte' },
      { line: 8, name: 'e', labels: { env: 'half \ud800 pair' } },
      { line: 9, name: 'f', address: '-oProxyCommand=x' },
      { line: 10, name: 'g', hostKey: 'ssh-dss AAAA' },
      { line: 11, name: 'h', credential: 'Not A Name' },
      { line: 12, name: 'fine' },
      { file: 'hosts.ini', line: 13, name: 5 },
    ];
    const answer = await api.importRows(rows);
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'invalid-import', context: { errors: 12, listed: 12 } },
    });
    const places = answer.body.findings!.map((finding) => [(finding.position as { line: number }).line, finding.path]);
    expect(places).toEqual([
      [3, 'name'],
      [4, 'kind'],
      [4, 'port'],
      [5, 'labels.not a key'],
      [6, 'site'],
      [7, 'owner'],
      [8, 'labels.env'],
      [9, 'address'],
      [10, 'hostKey'],
      [11, 'credential'],
      [12, 'name'],
      [13, 'name'],
    ]);
    expect(answer.body.findings![10]).toMatchObject({
      code: 'duplicate-asset',
      message: 'the asset "fine" stands in line 2 already',
    });
    expect(answer.body.findings![11]).toMatchObject({ position: { file: 'hosts.ini' } });
    expect(await api.tables()).toBe(before);
  });

  it('lists the first thousand errors and counts all', async () => {
    const rows = Array.from({ length: 3000 }, (_, index) => ({ line: index + 2, name: '?' }));
    const answer = await api.importRows(rows);
    expect(answer.body.findings).toHaveLength(1000);
    expect(answer.body).toMatchObject({ context: { errors: 3000, listed: 1000 } });
  });

  it.each([
    ['what is not JSON', '{"line":2,"name":"x"}\n{"line":3,\n', 422, 'invalid-import'],
    ['JSON that is no row', '[]\n"x"\nnull\n7\n', 422, 'invalid-import'],
    ['bytes that are not UTF-8', new Uint8Array([123, 34, 0xff, 34, 125, 10]), 400, 'invalid-request'],
    ['an endless line', `{"line":2,"name":"x","site":"${'x'.repeat(1_200_000)}`, 413, 'limit-exceeded'],
  ])('answers %s with a typed error', async (_what, raw, status, code) => {
    const before = await api.tables();
    expect(await api.importRows([], { raw })).toMatchObject({ status, body: { code } });
    expect(await api.tables()).toBe(before);
  });

  it('takes odd but valid text as it is', async () => {
    const labels = { a: `\u{1F600} é \u0301 \\N \\. "quoted" 'single' %s $1 {} ; --`, constructor: 'y' };
    const row = { line: 2, name: 'odd', owner: '\\N', site: 'tab is refused, \\t is text', labels };
    expect((await api.importRows([row])).body).toMatchObject({ created: 1 });
    expect(await api.asset('odd')).toMatchObject({ owner: '\\N', site: 'tab is refused, \\t is text', labels });
    expect((await api.importRows([row])).body).toMatchObject({ unchanged: 1 });
  });

  it('refuses a principal whose rights are narrowed, and one without the permission', async () => {
    const before = await api.tables();
    for (const token of [
      await api.tokenOf('narrow', 'operator', 'asset.site == "ber"'),
      await api.tokenOf('viewer', 'viewer'),
    ]) {
      expect(await api.importRows([{ line: 2, name: 'by-them' }], { token })).toMatchObject({
        status: 403,
        body: { code: 'denied' },
      });
    }
    expect(await api.tables()).toBe(before);
  });

  it('reads a CSV file of 10,000 columns up to its limit, and a wide one through to the tables', async () => {
    const wide = (labels: number) => {
      const header = ['name', ...Array.from({ length: labels }, (_, index) => `label.l${index}`)].join(',');
      return parseCsvInventory(`${header}\nwide${',v'.repeat(labels)}\n`, { file: 'wide.csv' });
    };
    const refused = wide(10_000);
    expect(refused.rows).toEqual([]);
    expect(refused.counts.errors).toBeGreaterThan(0);
    const taken = wide(150);
    expect(taken.counts.errors).toBe(0);
    expect((await api.importRows(taken.rows)).body).toMatchObject({ created: 1 });
    expect(Object.keys((await api.asset('wide')).labels)).toHaveLength(150);
    const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`l${index}`, 'v']));
    expect(await api.importRows([{ line: 2, name: 'wider', labels }])).toMatchObject({
      status: 422,
      body: { code: 'invalid-import' },
    });
  });
});
