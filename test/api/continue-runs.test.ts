import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Problem, RunAt, RunDetail, RunDiff, RunSummary } from '@fettle/contracts';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;

const runbook = (argv: string): string => `apiVersion: fettle/v1
kind: Runbook
metadata: {name: make}
spec:
  targets: asset.kind == "server"
  steps: [{id: touch, uses: ssh.run, with: {argv: [${argv}]}}]
`;
const apply = (source: string) => api.call('POST', '/api/v1/documents/apply', { body: { source } });

beforeAll(async () => {
  api = await startApi();
  await api.sql(
    `INSERT INTO asset (id, space, name, kind, site) SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'default',
       'web-' || n, 'server', CASE WHEN n % 2 = 0 THEN 'ber' ELSE 'ams' END FROM generate_series(1, 4) AS n`,
  );
  expect((await apply(runbook('touch, /tmp/x'))).status).toBe(200);
}, 180_000);
afterAll(() => api?.close());

/** A run that was cancelled before anybody took it up. */
async function cancelled(on?: string): Promise<string> {
  const started = await api.call<RunSummary>('POST', '/api/v1/runs', {
    body: { runbook: 'make', ...(on ? { on } : {}) },
  });
  await api.call('POST', `/api/v1/runs/${started.body.id}/cancel`, { body: {} });
  return started.body.id;
}

const post = (id: string, verb: string, body: object = {}, options: { token?: string; key?: string } = {}) =>
  api.call<RunSummary & Problem>('POST', `/api/v1/runs/${id}/${verb}`, {
    body,
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(options.key === undefined ? {} : { headers: { 'idempotency-key': options.key } }),
  });

describe('runs that have ended', () => {
  it('are taken up once, by a run that is started, audited and idempotent like any other', async () => {
    const id = await cancelled();
    const [first, again] = [await post(id, 'resume', {}, { key: 'one' }), await post(id, 'resume', {}, { key: 'one' })];
    expect([first.status, first.body.state, first.body.targetCount]).toEqual([202, 'queued', 4]);
    expect(again.body.id).toBe(first.body.id);
    expect((await post(id, 'resume', {}, { key: 'two' })).body).toMatchObject({ status: 409, code: 'already-resumed' });
    expect((await post(first.body.id, 'resume')).body).toMatchObject({ status: 409, code: 'run-open' });
    const commands = await api.sql(`SELECT kind FROM outbox WHERE subject = $1`, [`run-${first.body.id}`]);
    expect(commands).toEqual([{ kind: 'start-run' }]);
    const records = await api.call<{ items: object[] }>('GET', `/api/v1/audit?objectName=${first.body.id}`);
    expect(records.body.items).toMatchObject([{ action: 'run.resume', detail: { continues: id, targetCount: 4 } }]);
    const shown = await api.call<RunDetail>('GET', `/api/v1/runs/${id}`);
    expect(shown.body.continuedBy).toEqual([{ runId: first.body.id, how: 'resume', state: 'queued' }]);
    const retried = await post(id, 'retry', { targets: 'all' });
    expect([retried.status, retried.body.continues]).toEqual([202, { runId: id, how: 'retry' }]);
  });

  it('are taken up by nobody who could not have started them', async () => {
    const [all, ber] = [await cancelled(), await cancelled('asset.site == "ber"')];
    const viewer = await api.tokenOf('only-looks', 'viewer');
    const narrow = await api.tokenOf('only-ber', 'operator', 'asset.site == "ber"');
    const resolve = { target: 'web-1', as: 'done', reason: 'I looked' };
    for (const [verb, body] of [
      ['resume', {}],
      ['retry', {}],
      ['resolve', resolve],
    ] as const) {
      for (const token of [viewer, narrow]) {
        expect((await post(all, verb, body, { token })).body).toMatchObject({ status: 403, code: 'denied' });
      }
    }
    const diff = await api.call('GET', `/api/v1/runs/${ber}/diff?with=${all}`, { token: narrow });
    expect(diff.status).toBe(403);
    expect((await api.call('GET', `/api/v1/runs/${all}/state?at=1`, { token: narrow })).status).toBe(403);
    expect((await post(ber, 'retry', {}, { token: narrow })).status).toBe(202);
    expect((await post(ber, 'resume', {}, { token: narrow })).status).toBe(202);
    // A one-off command needs the right to give such commands.
    const exec = await api.call<RunSummary>('POST', '/api/v1/exec', { body: { on: 'true', argv: ['id'] } });
    await api.call('POST', `/api/v1/runs/${exec.body.id}/cancel`, { body: {} });
    const operator = await api.tokenOf('starts-runbooks', 'operator');
    expect((await post(exec.body.id, 'retry', {}, { token: operator })).status).toBe(403);
    expect((await post(exec.body.id, 'retry')).status).toBe(202);
  });

  it('go on with another version only once its difference was acknowledged', async () => {
    const id = await cancelled();
    expect((await apply(runbook('touch, /tmp/y'))).status).toBe(200);
    const refused = await post(id, 'resume', { version: 'latest' });
    expect(refused.body).toMatchObject({ status: 409, code: 'version-changed' });
    const { to, diff } = refused.body.context as { to: string; diff: string[] };
    expect(diff).toEqual(['~ spec.steps[touch].with.argv[1]: "/tmp/x" -> "/tmp/y"']);
    expect((await post(id, 'resume', { version: 'latest', acknowledge: 'sha256:0' })).status).toBe(409);
    const taken = await post(id, 'resume', { version: 'latest', acknowledge: to });
    expect([taken.status, taken.body.version]).toEqual([202, to]);
    const compared = await api.call<RunDiff>('GET', `/api/v1/runs/${id}/diff?with=${taken.body.id}`);
    expect(compared.body).toMatchObject({ runbook: diff, targets: { sameCount: 0, isCut: false } });
    expect(compared.body.targets.changed).toHaveLength(4);
  });

  it('leave retired assets behind', async () => {
    const id = await cancelled();
    await api.sql(`UPDATE asset SET lifecycle = 'retired' WHERE name = 'web-4'`);
    expect((await post(id, 'retry', { targets: 'all' })).body.targetCount).toBe(3);
    expect((await post(id, 'resume')).body.targetCount).toBe(3);
  });

  it('tell their state after an entry, and refuse what is no entry', async () => {
    const id = await cancelled();
    const at = await api.call<RunAt>('GET', `/api/v1/runs/${id}/state?at=1`);
    expect(at.body).toMatchObject({ seq: 1, state: 'queued', cancelRequested: false });
    const end = await api.call<RunAt>('GET', `/api/v1/runs/${id}/state?at=${at.body.lastSeq}`);
    expect(end.body).toMatchObject({ state: 'cancelled', cancelRequested: true });
    expect((await api.call('GET', `/api/v1/runs/${id}/state`)).status).toBe(400);
    expect((await api.call('GET', `/api/v1/runs/${id}/state?at=-1`)).status).toBe(400);
    expect((await post(id, 'resolve', { as: 'done', reason: 'x' })).body).toMatchObject({ code: 'nothing-unknown' });
    expect((await post(id, 'resolve', { target: 'nobody', as: 'done', reason: 'x' })).status).toBe(404);
  });
});
