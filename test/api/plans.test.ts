import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { planSchema, type Plan, type PlanDifference, type Problem, type RunSummary } from '@fettle/contracts';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;

const source = (word: string): string => `apiVersion: fettle/v1
kind: Runbook
metadata: {name: make}
spec:
  inputs: {type: object, required: [path], properties: {path: {type: string}}, additionalProperties: false}
  targets: asset.kind == "server"
  rollout: {waves: [1, '50%', '100%'], orderBy: asset.name}
  steps:
    - {id: touch, uses: ssh.run, with: {argv: [${word}, "\${{ inputs.path }}"], become: {credential: sudo}}}
    - {id: kernel, uses: ssh.run, with: {argv: [echo, "\${{ has(asset.facts.kernel) ? asset.facts.kernel : 'none' }}"]}, if: asset.site == "ber"}
    - {id: hook, uses: http.request, with: {url: 'https://example.org/'}}
    - {id: sub, call: {runbook: inner, inputs: {word: "\${{ inputs.path }}"}, on: asset.site == "ber"}}
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: inner}
spec:
  inputs: {type: object, properties: {word: {type: string}, times: {type: integer, default: 2}}, additionalProperties: false}
  targets: asset.kind == "server"
  steps: [{id: deep, uses: ssh.run, with: {argv: [echo, "\${{ inputs.word }}", "\${{ string(inputs.times) }}"]}}]
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: ask}
spec: {steps: [{id: hook, uses: http.request, with: {url: 'https://example.org/'}}]}
`;

async function apply(word: string): Promise<void> {
  const applied = await api.call('POST', '/api/v1/documents/apply', { body: { source: source(word) } });
  if (applied.status !== 200) throw new Error(applied.text);
}

const setCredential = (name: string) =>
  api.sql(
    `INSERT INTO credential (id, space, name, kind, sealed, key_id, version) VALUES (gen_random_uuid(), 'default', $1, 'password', '', 'k', 1)
     ON CONFLICT (space, name) DO UPDATE SET version = credential.version + 1`,
    [name],
  );

const body = (more: Record<string, unknown> = {}) => ({ runbook: 'make', inputs: { path: '/tmp/x' }, ...more });
const plan = (more?: Record<string, unknown>, token?: string) =>
  api.call<Plan & Problem>('POST', '/api/v1/plans', { body: body(more), ...(token === undefined ? {} : { token }) });
const start = (more: Record<string, unknown>, token?: string) =>
  api.call<RunSummary & Problem>('POST', '/api/v1/runs', {
    body: body(more),
    ...(token === undefined ? {} : { token }),
  });
const differencesOf = (problem: Problem): PlanDifference[] => (problem.context?.differences ?? []) as PlanDifference[];

beforeAll(async () => {
  api = await startApi();
  await api.sql(
    `INSERT INTO asset (id, space, name, kind, site) SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'default',
       'web-' || n, 'server', CASE WHEN n % 2 = 0 THEN 'ber' ELSE 'ams' END FROM generate_series(1, 10) AS n`,
  );
  await setCredential('sudo');
  await setCredential('login');
  await api.sql(
    `INSERT INTO endpoint (asset_id, transport, address, port, credential, host_keys, source)
     SELECT id, 'ssh', '127.0.0.1', 22, 'login', '{}', 'test' FROM asset WHERE name = 'web-1'`,
  );
  await apply('touch');
}, 180_000);
afterAll(() => api?.close());

describe('plans', () => {
  it('shows what would be done on each target, with all that the digest is of', async () => {
    const answer = await plan();
    expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({
      status: 200,
      text: '',
    });
    const made = planSchema.parse(answer.body);
    expect(made.targets).toMatchObject({ count: 10, undetermined: 0 });
    expect(made.waves).toEqual([
      { number: 1, targets: 1 },
      { number: 2, targets: 4 },
      { number: 3, targets: 5 },
    ]);
    expect(made.credentials).toEqual([
      { name: 'login', version: 1, usedBy: ['connections'] },
      { name: 'sudo', version: 1, usedBy: ['touch'] },
    ]);
    expect(made.closure.runbooks.map(({ name }) => name)).toEqual(['inner', 'make']);
    const [touch, kernel, hook, sub] = made.steps;
    expect(touch).toMatchObject({
      variants: [
        {
          outcome: 'run',
          effect: 'mutating',
          count: 10,
          rendered: { argv: [['touch', '/tmp/x']], becomeUser: 'root' },
        },
      ],
    });
    expect(kernel).toMatchObject({
      variants: [
        { outcome: 'skip', count: 5 },
        { outcome: 'run', count: 5 },
      ],
    });
    expect(hook).toMatchObject({ scope: 'control', variants: [{ count: 1, targets: [] }] });
    expect(sub).toMatchObject({
      targets: { count: 5 },
      inputs: { word: '/tmp/x', times: 2 },
      steps: [{ path: 'sub/deep', variants: [{ rendered: { argv: [['echo', '/tmp/x', '2']] } }] }],
    });
  });

  it('starts nothing, and is the same for the same request, whatever becomes of facts that are not rendered', async () => {
    const rows = () => api.sql(`SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM outbox) AS commands`);
    const before = await rows();
    const first = await plan();
    await api.sql(
      `INSERT INTO asset_fact (asset_id, name, value, source, observed_at) SELECT id, 'uptime', '5', 't', now() FROM asset`,
    );
    expect((await plan()).body).toEqual(first.body);
    expect(await rows()).toEqual(before);
    // One that is rendered is another matter.
    await api.sql(
      `INSERT INTO asset_fact (asset_id, name, value, source, observed_at) SELECT id, 'kernel', '"6.1"', 't', now() FROM asset WHERE name = 'web-2'`,
    );
    expect((await plan()).body.digest).not.toBe(first.body.digest);
  });

  it('has the target set of the run that is started', async () => {
    const made = await plan({ on: 'asset.site == "ber"' });
    const run = await start({ on: 'asset.site == "ber"', planDigest: made.body.digest });
    expect(run.status).toBe(202);
    const detail = await api.call<{ targetSetDigest: string }>('GET', `/api/v1/runs/${run.body.id}`);
    expect(detail.body.targetSetDigest).toBe(made.body.targets.digest);
    const records = await api.call<{ items: object[] }>('GET', `/api/v1/audit?objectName=${run.body.id}`);
    expect(records.body.items).toMatchObject([{ detail: { planDigest: made.body.digest } }]);
  });

  it('refuses to start what differs from the plan, and tells in what', async () => {
    const { digest } = (await plan()).body;
    const other = await start({ inputs: { path: '/tmp/y' }, planDigest: digest });
    expect(other.body).toMatchObject({ status: 409, code: 'plan-drift' });
    expect(differencesOf(other.body)).toEqual(
      expect.arrayContaining([
        { kind: 'input', subject: 'path', before: '"/tmp/x"', after: '"/tmp/y"' },
        expect.objectContaining({
          kind: 'step',
          subject: 'touch',
          before: expect.stringContaining('/tmp/x'),
          targetCount: 10,
        }),
      ]),
    );
    await setCredential('sudo');
    expect(differencesOf((await start({ planDigest: digest })).body)).toEqual([
      { kind: 'credential', subject: 'sudo', before: 'version 1', after: 'version 2' },
    ]);
    const again = (await plan()).body.digest;
    await apply('truncate');
    const edited = differencesOf((await start({ planDigest: again })).body);
    expect(edited.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(['runbook make', 'step touch']);
    // It does what was planned once the version is named.
    expect((await start({ planDigest: again, version: '1' })).status).toBe(202);
    await api.sql(`UPDATE asset SET lifecycle = 'retired' WHERE name = 'web-9'`);
    expect(differencesOf((await start({ planDigest: again, version: '1' })).body)).toContainEqual(
      expect.objectContaining({ kind: 'target', targets: ['web-9'], after: null }),
    );
    const unknown = await start({ planDigest: `sha256:${'0'.repeat(64)}` });
    expect(unknown.body).toMatchObject({ code: 'plan-drift' });
    expect(differencesOf(unknown.body)).toEqual([]);
    const left = await api.sql(`SELECT 1 FROM run WHERE inputs->>'path' = '/tmp/y'`);
    expect(left).toEqual([]);
  });

  it('shows nobody targets, nor differences, that they may not touch', async () => {
    const viewer = await api.tokenOf('plan-viewer', 'viewer');
    expect((await plan({}, viewer)).body).toMatchObject({ status: 403, code: 'denied' });
    const narrowed = await api.tokenOf('plan-narrowed', 'operator', 'asset.site == "ber"');
    expect((await plan({}, narrowed)).body).toMatchObject({ status: 403, code: 'denied' });
    const mine = await plan({ on: 'asset.site == "ber"' }, narrowed);
    expect(mine.body).toMatchObject({ targets: { count: 5 } });
    const whole = await plan();
    const drift = await start({ on: 'asset.site == "ber"', planDigest: whole.body.digest }, narrowed);
    expect(drift.body).toMatchObject({ status: 409, code: 'plan-drift' });
    expect(drift.text).not.toContain('web-1');
    const own = await start({ on: 'asset.name == "web-2"', planDigest: mine.body.digest }, narrowed);
    expect(differencesOf(own.body).length).toBeGreaterThan(0);
    // What acts beyond assets is not planned for somebody who is narrowed to some.
    expect((await plan({ runbook: 'ask', inputs: {} }, narrowed)).status).toBe(403);
    expect((await plan({ runbook: 'ask', inputs: {} })).body).toMatchObject({ targets: { count: 0 } });
  });

  it.each([
    ['an unknown runbook', { runbook: 'none' }, 404, 'not-found'],
    ['inputs that do not fit', { inputs: { path: 7 } }, 422, 'invalid-inputs'],
    ['no target', { on: 'asset.site == "nowhere"' }, 422, 'no-targets'],
    ['a digest that is none', { planDigest: 'x' }, 400, 'invalid-request'],
  ])('refuses %s as a start does', async (_name, more, status, code) => {
    expect((await plan(more)).body).toMatchObject({ status, code });
  });

  it('is told in the API document', async () => {
    const document = await api.call<{ paths: Record<string, unknown> }>('GET', '/api/v1/openapi.json');
    expect(Object.keys(document.body.paths)).toContain('/api/v1/plans');
  });
});
