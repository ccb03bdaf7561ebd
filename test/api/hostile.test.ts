import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { problemSchema } from '@fettle/contracts';
import fc from 'fast-check';
import { figure, testSeed } from '../support/figures.js';
import { startApi, type TestApi } from './api-server.js';

const isLong = process.env.FETTLE_LONG === '1';
const numRuns = isLong ? 2000 : 300;
const seed = testSeed();

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 180_000);
afterAll(() => api?.close());

const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

describe('hostile bodies', () => {
  it.each([
    ['malformed JSON', '{"name":', 400, 'invalid-request'],
    ['not an object', '"text"', 400, 'invalid-request'],
    ['null', 'null', 400, 'invalid-request'],
    ['a list', '[]', 400, 'invalid-request'],
    ['__proto__', '{"name":"a","__proto__":{"role":"admin"},"bindings":[]}', 400, 'invalid-request'],
    ['constructor', '{"name":"a","bindings":[{"constructor":{"prototype":{}}}]}', 400, 'invalid-request'],
    ['NUL in text', '{"name":"a\\u0000b"}', 400, 'invalid-request'],
    ['half a surrogate pair', '{"name":"\\ud800"}', 400, 'invalid-request'],
    ['200,000 levels', deep(200_000), 400, 'invalid-request'],
    ['an unknown field', '{"name":"a","bindings":[{"role":"viewer"}],"admin":true}', 400, 'invalid-request'],
    ['an unknown role', '{"name":"a","bindings":[{"role":"root"}]}', 400, 'invalid-request'],
    ['over 2 MiB', `{"name":"${'x'.repeat(2_200_000)}"}`, 413, 'limit-exceeded'],
    ['an empty body', '', 400, 'invalid-request'],
  ])('answers %s with a problem', async (_name, raw, status, code) => {
    const answer = await api.call('POST', '/api/v1/principals', { raw });
    expect(problemSchema.parse(answer.body)).toMatchObject({ status, code });
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
  });

  it('names every wrong member with its path', async () => {
    const body = { name: 'UPPER', bindings: [{ role: 'viewer' }, { role: 'root', space: '-' }] };
    const answer = await api.call<{ findings: { path: string }[] }>('POST', '/api/v1/principals', { body });
    expect(answer.body.findings.map((finding) => finding.path).sort()).toEqual([
      'bindings[1].role',
      'bindings[1].space',
      'name',
    ]);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonx',
  ])('answers a body of type %s with 415', async (contentType) => {
    const answer = await api.call('POST', '/api/v1/principals', {
      raw: 'a=b',
      headers: { 'content-type': contentType },
    });
    expect(problemSchema.parse(answer.body)).toMatchObject({ status: 415, code: 'unsupported-media-type' });
  });

  it('refuses text in a charset or an encoding it cannot read', async () => {
    const charset = await api.call('POST', '/api/v1/principals', {
      raw: '{}',
      headers: { 'content-type': 'application/json; charset=iso-8859-1' },
    });
    expect(charset.status).toBe(415);
    const encoding = await api.call('POST', '/api/v1/principals', {
      raw: '{}',
      headers: { 'content-encoding': 'zip' },
    });
    expect(encoding.status).toBe(415);
    const bomb = await api.call('POST', '/api/v1/principals', {
      raw: 'not gzip',
      headers: { 'content-encoding': 'gzip' },
    });
    expect(bomb.status).toBe(400);
  });
});

describe('hostile paths, queries and headers', () => {
  it.each([
    ['/api/v1/runs/not-a-uuid', 400],
    ['/api/v1/runs/00000000-0000-0000-0000-00000000000G', 400],
    ['/api/v1/runs/%00', 400],
    ['/api/v1/runs/%zz', 400],
    ['/api/v1/documents/Nothing/x', 400],
    ['/api/v1/documents/Runbook/UPPER', 400],
    ['/api/v1/documents/Runbook/%2e%2e%2fetc', 400],
    ['/api/v1/documents/Runbook/x?version=latest', 400],
    ['/api/v1/documents?kind=toString', 400],
    ['/api/v1/principals?limit=0', 400],
    ['/api/v1/principals?limit=1001', 400],
    ['/api/v1/principals?limit=1e999', 400],
    ['/api/v1/principals?space=a&space=b', 400],
    ['/api/v1/principals?space[x]=a', 200],
    ['/api/v1/principals?after=%00', 400],
    ['/api/v1/principals?__proto__=x', 400],
    ['/api/v1/audit?from=yesterday', 400],
    ['/api/v1/audit?from=0000-01-01T00:00:00Z', 200],
    ['/api/v1/audit?to=9999-12-31T23:59:59Z', 200],
    ['/api/v1/audit?principal=%ED%A0%80', 200],
    ['/api/v1/nothing', 404],
    ['/api/v2/principals', 404],
    ['//', 404],
  ])('GET %s is %i', async (path, status) => {
    const answer = await api.call('GET', path);
    expect({ path, status: answer.status }).toEqual({ path, status });
    if (status >= 400) problemSchema.parse(answer.body);
  });

  it('takes a sane request id and replaces any other', async () => {
    const sane = await api.call('GET', '/healthz', { headers: { 'x-request-id': 'trace-0123456789' } });
    expect(sane.headers.get('x-request-id')).toBe('trace-0123456789');
    for (const id of ['x', 'a b c d e f g h', '<script>alert(1)</script>', 'y'.repeat(101)]) {
      const answer = await api.call('GET', '/healthz', { headers: { 'x-request-id': id } });
      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    }
  });

  it('answers bytes that are not HTTP, and goes on serving', async () => {
    const port = Number(new URL(api.url).port);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = createConnection(port, '127.0.0.1', () => socket.write('\x16\x03\x01 nonsense\r\n\r\n'));
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
    expect((await api.call('GET', '/healthz')).status).toBe(200);
  });
});

const routes = [
  ['POST', '/api/v1/principals'],
  ['POST', '/api/v1/tokens'],
  ['POST', '/api/v1/documents/apply'],
  ['POST', '/api/v1/runs'],
  ['POST', '/api/v1/exec'],
  ['POST', '/api/v1/schedules/x/pause'],
  ['POST', '/api/v1/runs/01900000-0000-7000-8000-000000000000/cancel'],
] as const;

describe('fuzz', () => {
  it('never answers a body with 5xx', async () => {
    const names = fc.constantFrom(
      'name',
      'space',
      'source',
      'bindings',
      'role',
      'selector',
      'principal',
      'expiresAt',
      'runbook',
      'inputs',
      'on',
      'argv',
      'reason',
      'version',
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        'default',
        'viewer',
        'a',
        'true',
        'asset.name == "x"',
        '2026-01-01T00:00:00Z',
        '\0',
        '\ud800',
        '🦊',
        "'; DROP TABLE run; --",
      ),
      fc.constant('apiVersion: fettle/v1\nkind: Runbook\nmetadata: {name: x}\nspec: {}'),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        texts,
        fc.integer(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 4 }),
        tie('object'),
      ),
      object: fc.dictionary(
        fc.oneof({ weight: 5, arbitrary: names }, { weight: 1, arbitrary: fc.string({ maxLength: 8 }) }),
        tie('any'),
        { maxKeys: 6 },
      ),
    })).object;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), value, async ([method, path], body) => {
        const answer = await api.call(method, path, { body });
        if (answer.status >= 500) throw new Error(`${answer.status}: ${answer.text}`);
        if (answer.status >= 400) problemSchema.parse(answer.body);
      }),
      { seed, numRuns, verbose: 1 },
    );
    figure(`${numRuns} generated bodies, no 5xx`);
  }, 300_000);

  it('never answers a query or a path with 5xx', async () => {
    const paths = fc.constantFrom(
      '/api/v1/principals',
      '/api/v1/tokens',
      '/api/v1/documents',
      '/api/v1/documents/export',
      '/api/v1/audit',
      '/api/v1/runs',
      '/api/v1/schedules',
      '/api/v1/audit/checkpoints',
    );
    const keys = fc.constantFrom(
      'limit',
      'after',
      'space',
      'kind',
      'name',
      'from',
      'to',
      'principal',
      'action',
      'objectKind',
      'objectName',
      'state',
      'runbook',
    );
    const values = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.integer().map(String),
      fc.string().map((text) => btoa(JSON.stringify([text.replace(/[^\x20-\x7e]/g, '')]))),
      fc.uuid().map((id) => btoa(JSON.stringify([id]))),
      fc.constantFrom('default', '1', 'Runbook', '-1', '1e400', '2026-02-30T00:00:00Z', 'x'.repeat(5000)),
    );
    const query = fc.array(fc.tuple(keys, values), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        paths,
        query,
        fc.option(fc.string({ unit: 'binary', maxLength: 20 })),
        async (path, pairs, extra) => {
          const encode = (text: string): string =>
            [...Buffer.from(text, 'utf8')].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
          const suffix = extra === null ? '' : `/${encode(extra)}`;
          const answer = await api.call(
            'GET',
            `${path}${suffix}?${pairs.map(([key, value]) => `${key}=${encode(value)}`).join('&')}`,
          );
          if (answer.status >= 500) throw new Error(`${answer.status}: ${answer.text}`);
        },
      ),
      { seed, numRuns, verbose: 1 },
    );
    figure(`${numRuns} generated queries and paths, no 5xx`);
  }, 300_000);
});
