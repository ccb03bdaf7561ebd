import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { problemSchema, roles, type Role } from '@fettle/contracts';
import { createDataSource } from '@fettle/database';
import { Authenticator } from '@fettle/operations';
import { createToken, decide, parseToken, rolePermissions, type Permission } from '@fettle/security';
import { forecastRoutes } from '../forecast/routes.js';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;
const tokens = new Map<string, string>();

beforeAll(async () => {
  api = await startApi();
  for (const role of roles) tokens.set(role, await api.tokenOf(`the-${role}`, role));
}, 180_000);
afterAll(() => api?.close());

const unknownRun = '01900000-0000-7000-8000-000000000000';

const documentReads =
  'documents documents/export documents/Runbook/none documents/Runbook/none/versions runbooks/none/inputs capacity capacity/none calendar-status calendars/none'.split(
    ' ',
  );

/** One request for each route, with what is harmless where it is allowed, and the permission that the route should need. */
const routes: readonly (readonly [method: string, path: string, permission: Permission, body?: unknown])[] = [
  ['GET', '/api/v1/principals', 'principal:read'],
  ['POST', '/api/v1/principals', 'principal:write', {}],
  ['POST', '/api/v1/principals/nobody/revoke', 'principal:write'],
  ['GET', '/api/v1/tokens', 'principal:read'],
  ['POST', '/api/v1/tokens', 'token:write', {}],
  ['POST', `/api/v1/tokens/${unknownRun}/revoke`, 'token:write'],
  ['POST', '/api/v1/documents/apply', 'document:write', {}],
  ['GET', '/api/v1/audit', 'audit:read'],
  ['GET', '/api/v1/audit/export', 'audit:read'],
  ['GET', '/api/v1/audit/checkpoints', 'audit:read'],
  ['GET', '/api/v1/audit/key', 'audit:read'],
  ['POST', '/api/v1/runs', 'run:start', {}],
  ['POST', '/api/v1/exec', 'exec:run', {}],
  ['POST', '/api/v1/plans', 'run:start', {}],
  ['POST', '/api/v1/plan-checks', 'run:start', {}],
  ['GET', `/api/v1/plan-checks/${unknownRun}`, 'run:start'],
  ['GET', `/api/v1/plan-checks/${unknownRun}/results`, 'run:start'],
  ['GET', '/api/v1/runs', 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/targets`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/logs`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/events`, 'run:read'],
  ['POST', `/api/v1/runs/${unknownRun}/cancel`, 'run:cancel', {}],
  ['POST', `/api/v1/runs/${unknownRun}/signals/none`, 'run:start', {}],
  ['POST', `/api/v1/runs/${unknownRun}/resume`, 'run:start', {}],
  ['POST', `/api/v1/runs/${unknownRun}/retry`, 'run:start', {}],
  ['POST', `/api/v1/runs/${unknownRun}/resolve`, 'run:start', { as: 'done', reason: 'seen' }],
  ['GET', `/api/v1/runs/${unknownRun}/state?at=1`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/diff?with=${unknownRun}`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/history`, 'run:read'],
  ['GET', `/api/v1/runs/${unknownRun}/history/1`, 'run:read'],
  ['POST', `/api/v1/runs/${unknownRun}/free-capacity`, 'run:cancel', {}],
  ...documentReads.map((path) => ['GET', `/api/v1/${path}`, 'document:read'] as const),
  ['GET', '/api/v1/approvals', 'run:read'],
  ['GET', `/api/v1/approvals/${unknownRun}`, 'run:read'],
  ['POST', `/api/v1/approvals/${unknownRun}/approve`, 'run:read', {}],
  ['POST', `/api/v1/approvals/${unknownRun}/reject`, 'run:read', { reason: 'no' }],
  ['GET', '/api/v1/schedules', 'document:read'],
  ['GET', '/api/v1/schedules/none', 'document:read'],
  ['GET', '/api/v1/schedules/none/notifications', 'document:read'],
  ['POST', '/api/v1/schedules/none/pause', 'schedule:operate', {}],
  ['POST', '/api/v1/schedules/none/resume', 'schedule:operate'],
  ['POST', '/api/v1/schedules/none/trigger', 'schedule:operate'],
  ...forecastRoutes(unknownRun),
  ['GET', '/api/v1/assets', 'asset:read'],
  ['GET', '/api/v1/reports/patches', 'asset:read'],
  ['POST', '/api/v1/assets/import', 'asset:import'],
  ['GET', '/api/v1/assets/none', 'asset:read'],
  ['PUT', '/api/v1/assets/none', 'asset:write', { kind: 'nothing' }],
  ['POST', '/api/v1/assets/none/retire', 'asset:write', {}],
  ['POST', '/api/v1/assets/none/enrol', 'asset:write', {}],
  ['GET', '/api/v1/inventory/ansible', 'asset:read'],
  ['GET', '/api/v1/credentials', 'credential:read'],
  ['PUT', '/api/v1/credentials/none', 'credential:write', {}],
  ['GET', '/metrics', 'system:read'],
];

function holds(role: Role, permission: Permission): boolean {
  return (rolePermissions[role] as readonly Permission[]).includes(permission);
}

describe('signing in', () => {
  it.each([
    ['no token', null, {}],
    ['no token at all after Bearer', null, { authorization: 'Bearer ' }],
    ['another scheme', null, { authorization: 'Basic bG9jYWw6YWRtaW4=' }],
    ['an unknown token', createToken().token, {}],
    ['a malformed token', 'fettle_abc', {}],
    ['a huge token', 'x'.repeat(8000), {}],
  ])('refuses %s with 401', async (_name, token, headers) => {
    const answer = await api.call('GET', '/api/v1/whoami', { token, headers });
    expect(problemSchema.parse(answer.body)).toMatchObject({ status: 401, code: 'not-signed-in' });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('refuses a token whose secret differs in its last character', async () => {
    const last = api.adminToken.at(-1) === 'A' ? 'E' : 'A';
    const answer = await api.call('GET', '/api/v1/whoami', { token: `${api.adminToken.slice(0, -1)}${last}` });
    expect(answer.status).toBe(401);
  });

  it('refuses a revoked and an expired token, and every token of a revoked principal', async () => {
    const token = await api.tokenOf('leaver', 'viewer');
    expect((await api.call('GET', '/api/v1/whoami', { token })).status).toBe(200);
    const list = await api.call<{ items: { id: string; lastUsedAt: string | null }[] }>(
      'GET',
      '/api/v1/tokens?principal=leaver',
    );
    expect(list.body.items).toHaveLength(1);
    expect(list.body.items[0]?.lastUsedAt).not.toBeNull();
    expect(list.text).not.toContain('hash');
    await api.call('POST', `/api/v1/tokens/${list.body.items[0]?.id}/revoke`);
    expect((await api.call('GET', '/api/v1/whoami', { token })).status).toBe(401);

    const expiresAt = new Date(Date.now() + 1500).toISOString();
    const body = { principal: 'leaver', name: 'short', expiresAt };
    const short = await api.call<{ token: string }>('POST', '/api/v1/tokens', { body });
    await api.sql(`UPDATE api_token SET expires_at = now() - interval '1 second' WHERE name = 'short'`);
    expect((await api.call('GET', '/api/v1/whoami', { token: short.body.token })).status).toBe(401);

    const third = await api.call<{ token: string }>('POST', '/api/v1/tokens', {
      body: { principal: 'leaver', name: 'third' },
    });
    expect((await api.call('GET', '/api/v1/whoami', { token: third.body.token })).status).toBe(200);
    expect((await api.call('POST', '/api/v1/principals/leaver/revoke')).status).toBe(200);
    expect((await api.call('GET', '/api/v1/whoami', { token: third.body.token })).status).toBe(401);
    expect((await api.call('POST', '/api/v1/tokens', { body: { principal: 'leaver', name: 'x' } })).body).toMatchObject(
      { code: 'conflict' },
    );
  });

  it('does not keep an answer that was looked up before rights changed', async () => {
    const dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 4, applicationName: 'test' });
    try {
      const token = await api.tokenOf('quick', 'viewer');
      const authenticator = new Authenticator(dataSource);
      let looking: Promise<unknown> = Promise.resolve(null);
      await dataSource.transaction(async (transaction) => {
        // The lookup notes the use of the token, so it waits here with what it read before.
        await transaction.query(`UPDATE api_token SET revoked_at = now() WHERE id = $1`, [parseToken(token)!.id]);
        looking = authenticator.authenticate(token);
        for (let waiting: unknown[] = []; waiting.length === 0;) {
          await sleep(20);
          waiting = await api.sql(
            `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          );
        }
        authenticator.clear();
      });
      expect(await looking).toMatchObject({ name: 'quick' });
      expect(await authenticator.authenticate(token)).toBeNull();
    } finally {
      await dataSource.destroy();
    }
  }, 30_000);

  it('stores no token in clear', async () => {
    const rows = await api.sql<{ hash: Buffer }>('SELECT hash FROM api_token');
    expect(rows.length).toBeGreaterThan(0);
    const dump =
      JSON.stringify(await api.sql("SELECT *, encode(hash, 'escape') FROM api_token")) +
      JSON.stringify(await api.sql(`SELECT convert_from(canonical, 'UTF8') FROM audit_record`));
    for (const token of [api.adminToken, ...tokens.values()]) expect(dump).not.toContain(token.slice(-43));
  });
});

describe('permissions', () => {
  it.each(roles.map((role) => [role]))('a %s may do what its role says and nothing else', async (role) => {
    const wrong: string[] = [];
    for (const [method, path, permission, body] of routes) {
      const answer = await api.call(method, path, { token: tokens.get(role) ?? null, body });
      const isDenied = answer.status === 403;
      if (isDenied === holds(role, permission) || answer.status === 401 || answer.status >= 500) {
        wrong.push(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`);
      }
      if (isDenied) problemSchema.parse(answer.body);
    }
    expect(wrong).toEqual([]);
  });

  it('lists every route of the API in this test', async () => {
    const document = await api.call<{ paths: Record<string, Record<string, unknown>> }>('GET', '/api/v1/openapi.json', {
      token: null,
    });
    const shape = (path: string): string =>
      path
        .replace(/\?.*$/, '')
        .replace(unknownRun, '*')
        .replace(/\/\d+$/, '/*')
        .replace(/\{[a-z]+\}|\b(none|nobody)\b/g, '*')
        .replace('/Runbook/', '/*/');
    const tested = new Set(routes.map(([method, path]) => `${method} ${shape(path)}`));
    const open = ['/healthz', '/readyz', '/api/v1/whoami', '/api/v1/feeds/schedules/*'].map((path) => `GET ${path}`);
    open.push('POST /api/v1/credentials/rotate');
    const served = Object.entries(document.body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${shape(path)}`),
    );
    expect(served.length).toBeGreaterThan(20);
    expect(served.filter((route) => !tested.has(route) && !open.includes(route))).toEqual([]);
  });

  it('lets an admin of every space seal credentials anew and take the whole log, and nobody of one space alone', async () => {
    expect((await api.call('POST', '/api/v1/credentials/rotate', { body: {} })).status).toBe(200);
    expect((await api.call('GET', '/api/v1/audit/export')).status).toBe(200);
    await api.sql(`INSERT INTO space (name) VALUES ('elsewhere')`);
    try {
      expect((await api.call('POST', '/api/v1/credentials/rotate', { body: {} })).status).toBe(403);
      expect((await api.call('GET', '/api/v1/audit/export')).status).toBe(403);
    } finally {
      await api.sql(`DELETE FROM space WHERE name = 'elsewhere'`);
    }
  });

  it('says in whoami what the role allows', async () => {
    for (const role of roles) {
      const answer = await api.call<{ permissions: string[] }>('GET', '/api/v1/whoami', {
        token: tokens.get(role) ?? null,
      });
      expect([...answer.body.permissions].sort()).toEqual([...rolePermissions[role]].sort());
    }
  });

  it('gives nothing in another space', async () => {
    const answer = await api.call('GET', '/api/v1/runs?space=other');
    expect(answer.body).toMatchObject({ status: 403, code: 'denied' });
    const body = { runbook: 'x', space: 'other' };
    expect((await api.call('POST', '/api/v1/runs?space=default', { body })).status).toBe(403);
  });

  it('does not let a narrowed binding reach beyond its assets', async () => {
    const token = await api.tokenOf('narrow', 'admin', 'asset.site == "ber"');
    expect(
      decide({
        bindings: [{ role: 'admin', space: 'default', selector: 'x' }],
        permission: 'run:start',
        space: 'default',
      }).allowed,
    ).toBe(true);
    for (const [method, path, body] of [
      ['POST', '/api/v1/principals', { name: 'more', bindings: [{ role: 'admin' }] }],
      ['POST', '/api/v1/tokens', { principal: 'local-admin', name: 'mine' }],
      [
        'POST',
        '/api/v1/documents/apply',
        {
          source:
            'apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: x}\nspec: {targets: "true", steps: [{id: a, uses: ssh.run, with: {argv: [id]}}]}\n',
        },
      ],
    ] as const) {
      expect((await api.call(method, path, { token, body })).body).toMatchObject({ status: 403, code: 'denied' });
    }
  });

  it('refuses to start with a route that declares no permission, and names it', async () => {
    class ForgottenController {
      look(): string {
        return 'open to all';
      }
    }
    Reflect.decorate([Controller('api/v1/forgotten')], ForgottenController);
    const descriptor = Object.getOwnPropertyDescriptor(ForgottenController.prototype, 'look');
    Get('look')(ForgottenController.prototype, 'look', descriptor!);
    await expect(startApi({}, [ForgottenController])).rejects.toThrow(
      /declare no permission: GET \/api\/v1\/forgotten\/look \(ForgottenController\.look\)/,
    );
  });
});

describe('principals', () => {
  it('keeps the name of a principal unique, also when two ask at once', async () => {
    const body = { name: 'twin', bindings: [{ role: 'viewer' }] };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => api.call('POST', '/api/v1/principals', { body })),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
    expect(answers.find((answer) => answer.status === 409)?.body).toMatchObject({ code: 'already-exists' });
  });

  it('refuses a selector that is not one, at its place, and a space that is not there', async () => {
    const withSelector = { name: 'odd', bindings: [{ role: 'viewer', selector: 'asset.nme == "x"' }] };
    expect((await api.call('POST', '/api/v1/principals', { body: withSelector })).body).toMatchObject({
      status: 422,
      code: 'invalid-expression',
    });
    const inSpace = { name: 'odd', bindings: [{ role: 'viewer', space: 'nowhere' }] };
    expect((await api.call('POST', '/api/v1/principals', { body: inSpace })).body).toMatchObject({ status: 403 });
  });

  it('keeps the last admin', async () => {
    const answer = await api.call('POST', '/api/v1/principals/the-admin/revoke');
    expect(answer.status).toBe(200);
    expect((await api.call('POST', '/api/v1/principals/narrow/revoke')).status).toBe(200);
    expect((await api.call('POST', '/api/v1/principals/local-admin/revoke')).body).toMatchObject({
      status: 409,
      code: 'conflict',
    });
  });

  it('pages by cursors that a caller cannot make up', async () => {
    const seen: string[] = [];
    let after = '';
    for (let page = 0; page < 50; page += 1) {
      const answer = await api.call<{ items: { name: string }[]; next: string | null }>(
        'GET',
        `/api/v1/principals?limit=2${after}`,
      );
      seen.push(...answer.body.items.map((item) => item.name));
      if (answer.body.next === null) break;
      after = `&after=${answer.body.next}`;
    }
    expect(seen).toEqual([...seen].sort());
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toContain('the-viewer');
    for (const cursor of ['x', 'W10', btoa('[1]'), btoa('["a","b"]'), btoa('["\\u0000"]'), '%F0%9F%92%A9']) {
      expect((await api.call('GET', `/api/v1/principals?after=${cursor}`)).body).toMatchObject({
        status: 400,
        code: 'invalid-cursor',
      });
    }
  });
});

describe('the page of the API document', () => {
  it('is HTML whose parts all come from this server', async () => {
    const page = await api.call('GET', '/api/docs', { token: null });
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const references = [...page.text.matchAll(/<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(2);
    for (const [, reference = ''] of references) {
      const { origin, pathname } = new URL(reference, `${api.url}/api/docs`);
      expect([reference, origin]).toEqual([reference, api.url]);
      const part = await api.call('GET', pathname, { token: null });
      expect([reference, part.status, part.text.length > 0]).toEqual([reference, 200, true]);
      // Such as the badge of Swagger's validator, which would be told what is served here.
      if (pathname.endsWith('initializer.js') || pathname.endsWith('.css')) {
        expect(part.text).not.toMatch(/(?:@import|url\(|(?:src|href)\s*[=:])\s*["']?(?:https?:)?\/\//i);
      }
    }
  });
});
