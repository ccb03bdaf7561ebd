import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { problemSchema } from '@fettle/contracts';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
afterAll(() => api?.close());

describe('the API', () => {
  it('says that it is there and ready without a token', async () => {
    expect((await api.call('GET', '/healthz', { token: null })).body).toEqual({ status: 'ok' });
    expect((await api.call('GET', '/readyz', { token: null })).body).toEqual({ status: 'ready' });
  });
  it('knows who asks', async () => {
    const answer = await api.call('GET', '/api/v1/whoami');
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ name: 'local-admin', kind: 'person', bindings: [{ role: 'admin', space: 'default', selector: null }] });
    expect(answer.body.permissions).toContain('principal:write');
  });
  it('answers with problem documents', async () => {
    const answer = await api.call('GET', '/api/v1/nothing');
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(problemSchema.parse(answer.body)).toMatchObject({ code: 'not-found', status: 404 });
  });
  it('serves openapi', async () => {
    const answer = await api.call('GET', '/api/v1/openapi.json', { token: null });
    expect(answer.status).toBe(200);
    const page = await api.call('GET', '/api/docs', { token: null });
    console.log(answer.text.slice(0, 3000), page.status, page.text.slice(0,1500));
  });
  it('tokens', async () => {
    const token = await api.tokenOf('eve', 'viewer');
    const who = await api.call('GET', '/api/v1/whoami', { token });
    expect(who.body).toMatchObject({ name: 'eve' });
    const denied = await api.call('GET', '/api/v1/principals', { token });
    expect(denied.status).toBe(403);
    expect((await api.call('POST', '/api/v1/principals', { raw: '{"a":' })).body).toMatchObject({ status: 400 });
    expect((await api.call('POST', '/api/v1/principals', { raw: '{"name":"x","__proto__":{}}' })).body).toMatchObject({ status: 400 });
    expect((await api.call('POST', '/api/v1/principals', { raw: '['.repeat(200000) + ']'.repeat(200000) })).body).toMatchObject({ status: 400 });
    expect((await api.call('POST', '/api/v1/principals', { raw: 'a=b', headers: { 'content-type': 'text/plain' } })).body).toMatchObject({ status: 415 });
    expect((await api.call('GET', '/api/v1/principals?after=%00', {})).body).toMatchObject({ status: 400 });
    expect((await api.call('GET', '/api/v1/princip%zz', {})).body).toMatchObject({ status: 400 });
    expect((await api.call('POST', '/api/v1/principals', { raw: `{"a":"${'x'.repeat(3e6)}"}` })).body).toMatchObject({ status: 413 });
    console.log(JSON.stringify((await api.call('GET', '/api/v1/tokens')).body));
  });
});
