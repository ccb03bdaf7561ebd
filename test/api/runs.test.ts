import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Page, Problem, RunDetail, RunSummary } from '@fettle/contracts';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;

beforeAll(async () => {
  api = await startApi();
  await api.sql(
    `INSERT INTO asset (id, space, name, kind, site) SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'default',
       'web-' || n, 'server', CASE WHEN n % 2 = 0 THEN 'ber' ELSE 'ams' END FROM generate_series(1, 10) AS n`,
  );
  const source = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: make}
spec:
  inputs: {type: object, required: [path], properties: {path: {type: string}}, additionalProperties: false}
  targets: asset.kind == "server"
  steps: [{id: touch, uses: ssh.run, with: {argv: [touch, "\${{ inputs.path }}"]}}]
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: make-daily}
spec: {runbook: make, cron: "0 4 * * *", inputs: {path: /tmp/x}}
`;
  const applied = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
  expect({ status: applied.status, text: applied.status === 200 ? '' : applied.text }).toEqual({
    status: 200,
    text: '',
  });
}, 180_000);
afterAll(() => api?.close());

const start = (body: Record<string, unknown>, key?: string, token?: string) =>
  api.call<RunSummary & { code: string }>('POST', '/api/v1/runs', {
    body: { runbook: 'make', inputs: { path: '/tmp/x' }, ...body },
    headers: key === undefined ? {} : { 'idempotency-key': key },
    ...(token === undefined ? {} : { token }),
  });

describe('starting runs', () => {
  it('is accepted with 202, with row, targets, command and audit record together', async () => {
    const answer = await start({ reason: 'a test' });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ runbook: 'make', state: 'queued', targetCount: 10, reason: 'a test' });
    const commands = await api.sql(`SELECT kind FROM outbox WHERE subject = $1`, [`run-${answer.body.id}`]);
    expect(commands).toEqual([{ kind: 'start-run' }]);
    const records = await api.call<Page<object>>('GET', `/api/v1/audit?objectName=${answer.body.id}`);
    const inputsDigest = `sha256:${createHash('sha256').update('{"path":"/tmp/x"}').digest('hex')}`;
    expect(records.body.items).toMatchObject([{ action: 'run.start', detail: { inputsDigest, targetCount: 10 } }]);
    const shown = await api.call<RunDetail>('GET', `/api/v1/runs/${answer.body.id}`);
    expect(shown.body).toMatchObject({ inputs: { path: '/tmp/x' } });
    expect(shown.body.targets).toHaveLength(10);
    const first = await api.call<Page<{ asset: string }>>('GET', `/api/v1/runs/${answer.body.id}/targets?limit=7`);
    const rest = await api.call<Page<{ asset: string }>>(
      'GET',
      `/api/v1/runs/${answer.body.id}/targets?limit=7&after=${first.body.next}`,
    );
    expect(new Set([...first.body.items, ...rest.body.items].map((item) => item.asset)).size).toBe(10);
    expect(rest.body.next).toBeNull();
  });

  it('gives the same run for the same key and request, also at once, and 409 for another request', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => start({}, 'key-1')));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 202));
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect((await start({}, 'key-1')).body.id).toBe(answers[0]!.body.id);
    const other = await start({ inputs: { path: '/tmp/y' } }, 'key-1');
    expect(other.body).toMatchObject({ status: 409, code: 'idempotency-conflict' });
    const rows = await api.sql(`SELECT 1 FROM run WHERE idempotency_key = 'key-1'`);
    expect(rows).toHaveLength(1);
    // Another principal's key is another key.
    const operator = await api.tokenOf('key-operator', 'operator');
    expect((await start({}, 'key-1', operator)).body.id).not.toBe(answers[0]!.body.id);
  });

  it.each([
    ['an unknown runbook', { runbook: 'none' }, 404, 'not-found'],
    ['an unknown version', { version: '99' }, 404, 'not-found'],
    ['inputs that do not fit', { inputs: { path: 7 } }, 422, 'invalid-inputs'],
    ['inputs that are missing', { inputs: {} }, 422, 'invalid-inputs'],
    ['a selector that is none', { on: 'asset.site ==' }, 422, 'invalid-expression'],
    ['no target', { on: 'asset.site == "nowhere"' }, 422, 'no-targets'],
    ['a space without rights', { space: 'other' }, 403, 'denied'],
  ])('refuses %s and leaves nothing behind', async (_name, body, status, code) => {
    const count = async () =>
      (
        await api.sql(
          'SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM audit_record) AS n',
        )
      )[0];
    const before = await count();
    expect((await start(body)).body).toMatchObject({ status, code });
    expect(await count()).toEqual(before);
  });

  it.each(['', ' ', 'a b', 'fire:x:y', 'ü', 'k'.repeat(201)])('refuses the idempotency key %j', async (key) => {
    const answer = await start({}, key).catch((error: unknown) => error);
    if (answer instanceof TypeError) return; // fetch itself refuses a header that is not Latin-1
    expect(answer).toMatchObject({ status: 400 });
  });

  it('keeps a narrowed operator to his targets', async () => {
    const token = await api.tokenOf('berlin', 'operator', 'asset.site == "ber"');
    expect((await start({}, undefined, token)).body).toMatchObject({ status: 403, code: 'denied' });
    const narrowed = await start({ on: 'asset.site == "ber"' }, undefined, token);
    expect(narrowed).toMatchObject({ status: 202, body: { targetCount: 5 } });
  });

  it('cancels a run once', async () => {
    const { id } = (await start({})).body;
    const cancelled = await api.call<RunSummary>('POST', `/api/v1/runs/${id}/cancel`, { body: { reason: 'enough' } });
    expect(cancelled).toMatchObject({ status: 202, body: { state: 'cancelled' } });
    const again = await api.call('POST', `/api/v1/runs/${id}/cancel`, { body: {} });
    expect(again.body).toMatchObject({ status: 409, code: 'run-ended' });
  });

  it('triggers a schedule for whoever may operate it, once for one key', async () => {
    const trigger = (token?: string) =>
      api.call<RunSummary>('POST', '/api/v1/schedules/make-daily/trigger', {
        headers: { 'idempotency-key': 'trigger-1' },
        ...(token === undefined ? {} : { token }),
      });
    const first = await trigger();
    expect(first).toMatchObject({ status: 202, body: { schedule: 'make-daily', runbook: 'make' } });
    const records = await api.call<Page<object>>('GET', '/api/v1/audit?objectKind=Schedule&objectName=make-daily');
    expect(records.body.items[0]).toMatchObject({ action: 'schedule.trigger', detail: { runId: first.body.id } });
    const viewer = await api.tokenOf('looking', 'viewer');
    expect((await trigger(viewer)).status).toBe(403);
  });

  it('runs a one-off command as a run', async () => {
    const body = { on: 'asset.site == "ams"', argv: ['uptime'] };
    const answer = await api.call<RunSummary>('POST', '/api/v1/exec', { body });
    expect(answer).toMatchObject({ status: 202, body: { runbook: 'exec', targetCount: 5 } });
  });

  it.each([0, 0.0001, 21_601, 86_400])(
    'refuses %d seconds as the time of a one-off command',
    async (timeoutSeconds) => {
      const body = { on: 'true', argv: ['uptime'], timeoutSeconds };
      const answer = await api.call<Problem>('POST', '/api/v1/exec', { body });
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      expect(answer.body.findings).toMatchObject([
        { path: 'timeoutSeconds', message: expect.stringMatching(/seconds/) },
      ]);
    },
  );

  it.each([0.001, 21_600])('takes %d seconds as the time of a one-off command', async (timeoutSeconds) => {
    const body = { on: 'asset.site == "ams"', argv: ['uptime'], timeoutSeconds };
    expect((await api.call('POST', '/api/v1/exec', { body })).status).toBe(202);
  });

  it('refuses a stored runbook that does not fit, which nothing checked since it was stored', async () => {
    const source = `apiVersion: fettle/v1
kind: Runbook
metadata: {name: outdated}
spec: {targets: 'true', steps: [{id: a, uses: ssh.run, with: {argv: [id]}}]}
`;
    expect((await api.call('POST', '/api/v1/documents/apply', { body: { source } })).status).toBe(200);
    await api.sql(`UPDATE document_version SET parsed = jsonb_set(parsed, '{spec,timeout}', '"soon"')
      WHERE document_id = (SELECT id FROM document WHERE name = 'outdated')`);
    const answer = await start({ runbook: 'outdated', inputs: {} });
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid-document' } });
    expect(answer.text).toMatch(/outdated.*spec\.timeout/);
  });
});

describe('reading runs', () => {
  it('shows a run only to who may read its space, whatever the query says', async () => {
    await api.sql(`INSERT INTO space (name) VALUES ('other')`);
    const { id } = (await start({})).body;
    const other = await api.tokenOf('elsewhere', 'viewer');
    await api.sql(
      `UPDATE role_binding SET space = 'other' WHERE principal_id = (SELECT id FROM principal WHERE name = 'elsewhere')`,
    );
    // Who has no rights in a space cannot make tokens that have.
    const stolen = await api.call('POST', '/api/v1/tokens', { body: { principal: 'elsewhere', name: 'x' } });
    expect(stolen.body).toMatchObject({ status: 403, code: 'denied' });
    for (const path of ['', '/targets', '/logs', '/events', '?space=other']) {
      expect((await api.call('GET', `/api/v1/runs/${id}${path}`, { token: other })).status).toBe(403);
    }
    expect((await api.call<Page<unknown>>('GET', '/api/v1/runs?space=other', { token: other })).body.items).toEqual([]);
  });

  it('lists the newest first, by state and runbook, in pages', async () => {
    const all = await api.call<Page<RunSummary>>('GET', '/api/v1/runs?limit=3');
    expect(all.body.items).toHaveLength(3);
    const ids = all.body.items.map((item) => item.id);
    expect(ids).toEqual([...ids].sort().reverse());
    const execs = await api.call<Page<RunSummary>>('GET', '/api/v1/runs?runbook=exec');
    expect(new Set(execs.body.items.map((item) => item.runbook))).toEqual(new Set(['exec']));
    const cancelled = await api.call<Page<RunSummary>>('GET', '/api/v1/runs?state=cancelled');
    expect(new Set(cancelled.body.items.map((item) => item.state))).toEqual(new Set(['cancelled']));
    expect((await api.call('GET', '/api/v1/runs?state=asleep')).status).toBe(400);
  });

  it('lists for a narrowed role what it may show: runs that touch its assets and no others', async () => {
    const [inside, across, outside] = [
      await start({ on: 'asset.site == "ber"' }),
      await start({}),
      await start({ on: 'asset.site == "ams"' }),
    ].map((answer) => answer.body.id);
    const token = await api.tokenOf('ber-viewer', 'viewer', 'asset.site == "ber"');
    const listed: string[] = [];
    for (let after = ''; ;) {
      const page = await api.call<Page<RunSummary>>('GET', `/api/v1/runs?limit=1${after}`, { token });
      listed.push(...page.body.items.map(({ id }) => id));
      if (page.body.next === null) break;
      after = `&after=${page.body.next}`;
    }
    expect(listed[0]).toBe(inside);
    expect(listed).not.toContain(across);
    expect(listed).not.toContain(outside);
    const everything = await api.call<Page<RunSummary>>('GET', '/api/v1/runs?limit=1000');
    for (const { id } of everything.body.items) {
      const { status } = await api.call('GET', `/api/v1/runs/${id}`, { token });
      expect({ id, status }).toEqual({ id, status: listed.includes(id) ? 200 : 403 });
    }
  });
});
