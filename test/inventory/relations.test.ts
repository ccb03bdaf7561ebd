// Relations between assets over the API: set, taken away, shown at both ends, recorded, and hidden from whom they do not concern.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AssetDetail, Problem } from '@fettle/contracts';
import { startInventoryApi, type InventoryApi } from './inventory-api.js';

let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
}, 180_000);
afterAll(() => api?.close());

describe('relations', () => {
  it('relates assets to each other, shows it at both ends, and records what changed', async () => {
    for (const name of ['app', 'vmhost', 'db']) await api.set(name, {});
    const relate = [
      { kind: 'runs-on', asset: 'vmhost' },
      { kind: 'depends-on', asset: 'db' },
    ];
    await api.set('app', { relate, reason: 'new' });
    expect((await api.asset('app')).relations).toEqual([
      { kind: 'depends-on', direction: 'to', asset: 'db' },
      { kind: 'runs-on', direction: 'to', asset: 'vmhost' },
    ]);
    expect((await api.asset('vmhost')).relations).toEqual([{ kind: 'runs-on', direction: 'from', asset: 'app' }]);
    await api.set('app', { relate });
    await api.set('app', { unrelate: [relate[1], { kind: 'runs-on', asset: 'db' }] });
    expect((await api.asset('db')).relations).toEqual([]);
    const audit = await api.call<{ items: { detail: object }[] }>('GET', '/api/v1/audit?objectName=app');
    expect(audit.body.items.map(({ detail }) => detail)).toMatchObject([
      { unrelated: [relate[1]] },
      { related: relate, reason: 'new' },
      { before: null },
    ]);
  });

  it('relates to nothing that is not there, and creates nothing then', async () => {
    const relate = [{ kind: 'runs-on', asset: 'no-host' }];
    const refused = await api.call<Problem>('PUT', '/api/v1/assets/newcomer', { body: { relate } });
    expect(refused).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect(refused.body.detail).toContain('"no-host"');
    expect((await api.call('GET', '/api/v1/assets/newcomer')).status).toBe(404);
    await api.set('lonely', {});
    const self = { relate: [{ kind: 'runs-on', asset: 'lonely' }] };
    expect((await api.call('PUT', '/api/v1/assets/lonely', { body: self })).status).toBe(400);
  });

  it('relates two assets to each other at once', async () => {
    for (const name of ['left', 'right']) await api.set(name, {});
    const both = (asset: string, other: string) =>
      Array.from({ length: 6 }, (_, index) =>
        api.call('PUT', `/api/v1/assets/${asset}`, { body: { relate: [{ kind: `k${index}`, asset: other }] } }),
      );
    const answers = await Promise.all([...both('left', 'right'), ...both('right', 'left')]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect((await api.asset('left')).relations).toHaveLength(12);
  });

  it('shows a thousand and says that there are more', async () => {
    await api.set('hub', {});
    await api.importRows(Array.from({ length: 1000 }, (_, index) => ({ line: index + 1, name: `leaf-${index}` })));
    await api.sql(`INSERT INTO asset_relation (from_id, kind, to_id, source)
      SELECT l.id, 'runs-on', h.id, 'test' FROM asset l, asset h WHERE l.name LIKE 'leaf-%' AND h.name = 'hub'`);
    const whole = await api.asset('hub');
    expect(whole.relations).toHaveLength(1000);
    expect(whole).not.toHaveProperty('truncated');
    await api.set('hub', { relate: [{ kind: 'near', asset: 'leaf-1' }] });
    const cut = await api.asset('hub');
    expect(cut.relations).toHaveLength(1000);
    expect(cut.truncated).toEqual(['relations']);
  });

  it('show and reach, for a narrowed role, only the assets that it covers', async () => {
    for (const [name, site] of Object.entries({ own: 'ber', sibling: 'ber', foreign: 'muc' }))
      await api.set(name, { site });
    await api.set('own', { relate: ['foreign', 'sibling'].map((asset) => ({ kind: 'near', asset })) });
    const token = await api.tokenOf('ber-operator', 'operator', 'asset.site == "ber"');
    const seen = await api.call<AssetDetail>('GET', '/api/v1/assets/own', { token });
    expect(seen.body.relations).toEqual([{ kind: 'near', direction: 'to', asset: 'sibling' }]);
    const body = { relate: [{ kind: 'near', asset: 'foreign' }] };
    expect((await api.call('PUT', '/api/v1/assets/own', { token, body })).status).toBe(404);
  });
});
