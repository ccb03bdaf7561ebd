import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApplyResult, DocumentDetail, Problem, Schedule } from '@fettle/contracts';
import { startApi, type TestApi } from './api-server.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
}, 180_000);
afterAll(() => api?.close());

const runbook = (name: string, argv = '[uptime]', extra = ''): string => `# what ${name} is for
apiVersion: fettle/v1
kind: Runbook
metadata: {name: ${name}}
spec:
  targets: asset.kind == "server"
  steps:
    - id: look
      uses: ssh.run
      with: {argv: ${argv}}  # the command
${extra}`;
const schedule = (
  name: string,
  book: string,
  cron = '30 2 * * *',
  zone = 'Europe/Berlin',
): string => `apiVersion: fettle/v1
kind: Schedule
metadata: {name: ${name}}
spec: {runbook: ${book}, cron: "${cron}", timeZone: ${zone}}
`;

const apply = (source: string, options: { dryRun?: boolean; token?: string } = {}) =>
  api.call<ApplyResult & { code: string; findings: Record<string, unknown>[] }>('POST', '/api/v1/documents/apply', {
    body: { source, file: 'book.yaml', dryRun: options.dryRun ?? false },
    ...(options.token === undefined ? {} : { token: options.token }),
  });

const count = async (table: string): Promise<number> =>
  Number((await api.sql<{ n: string }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n);

describe('apply', () => {
  it('makes a version only where the digest changed, and keeps every version', async () => {
    const first = await apply(runbook('plain'));
    expect(first.body.items).toEqual([
      expect.objectContaining({ kind: 'Runbook', name: 'plain', number: 1, result: 'created' }),
    ]);
    const again = await apply(runbook('plain'));
    expect(again.body.items[0]).toMatchObject({
      number: 1,
      result: 'unchanged',
      diff: [],
      version: first.body.items[0]!.version,
    });
    // White space and comments are no part of what is parsed.
    const reworded = await apply(runbook('plain').replace('# the command', '# another word'));
    expect(reworded.body.items[0]).toMatchObject({ result: 'unchanged' });
    const changed = await apply(runbook('plain', '[uptime, -p]'));
    expect(changed.body.items[0]).toMatchObject({ number: 2, result: 'changed' });
    expect(changed.body.items[0]!.diff.join('\n')).toContain('+ spec.steps[look].with.argv[1]: "-p"');
    const back = await apply(runbook('plain'));
    expect(back.body.items[0]).toMatchObject({ number: 3, result: 'changed', version: first.body.items[0]!.version });

    const second = await api.call<DocumentDetail>('GET', '/api/v1/documents/Runbook/plain?version=2');
    expect(second.body.source).toContain('[uptime, -p]');
    const byDigest = await api.call<DocumentDetail>(
      'GET',
      `/api/v1/documents/Runbook/plain?version=${changed.body.items[0]!.version}`,
    );
    expect(byDigest.body.number).toBe(2);
    const versions = await api.call<{ items: { number: number }[] }>('GET', '/api/v1/documents/Runbook/plain/versions');
    expect(versions.body.items.map((item) => item.number)).toEqual([3, 2, 1]);
    expect((await api.call('GET', '/api/v1/documents/Runbook/plain?version=9')).status).toBe(404);
  });

  it('keeps what the author wrote, comments included', async () => {
    await apply(`${runbook('first')}---\n${runbook('second')}`);
    const stored = await api.call<DocumentDetail>('GET', '/api/v1/documents/Runbook/second');
    expect(stored.body.source).toBe(runbook('second'));
  });

  it('applies all documents or none', async () => {
    const before = await count('document_version');
    const answer = await apply(`${runbook('good')}---\n${runbook('bad').replace('steps:', 'stepz:')}`);
    expect(answer.status).toBe(422);
    expect(answer.body.code).toBe('invalid-document');
    expect(answer.body.findings[0]).toMatchObject({ severity: 'error', position: { file: 'book.yaml' } });
    expect(await count('document_version')).toBe(before);
    const atomic = await apply(`${runbook('good')}---\n${schedule('lonely', 'no-such-runbook')}`);
    expect(atomic.body.findings).toEqual([expect.objectContaining({ code: 'unknown-runbook', path: 'spec.runbook' })]);
    expect(await count('document_version')).toBe(before);
    expect((await api.call('GET', '/api/v1/documents/Runbook/good')).status).toBe(404);
  });

  it('writes nothing in a dry run and says what would be', async () => {
    const versions = await count('document_version');
    const records = await count('audit_record');
    const answer = await apply(
      `${runbook('plain', '[id]')}---\n${runbook('fresh')}---\n${schedule('fresh-daily', 'fresh')}`,
      { dryRun: true },
    );
    expect(answer.body.items.map((item) => [item.name, item.result, item.number])).toEqual([
      ['fresh', 'created', 1],
      ['plain', 'changed', 4],
      ['fresh-daily', 'created', 1],
    ]);
    expect(await count('document_version')).toBe(versions);
    expect(await count('audit_record')).toBe(records);
    expect((await api.call('GET', '/api/v1/documents/Runbook/fresh')).status).toBe(404);
  });

  it('leaves one audit record for each change and none for what stays', async () => {
    const before = await count('audit_record');
    await apply(`${runbook('audited')}---\n${runbook('plain')}`);
    expect(await count('audit_record')).toBe(before + 1);
    const list = await api.call<{ items: { action: string; detail: unknown }[] }>(
      'GET',
      '/api/v1/audit?objectKind=Runbook&objectName=audited',
    );
    expect(list.body.items).toEqual([
      expect.objectContaining({
        action: 'document.apply',
        detail: expect.objectContaining({ number: 1, previous: null }),
      }),
    ]);
  });

  it('numbers versions without gaps when many apply at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_value, index) =>
        apply(`${runbook('race-b', `[echo, "${index}"]`)}---\n${runbook('race-a', `[echo, "${index}"]`)}`),
      ),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 8 }, () => 200));
    const numbers = answers.map((answer) => answer.body.items.find((item) => item.name === 'race-a')!.number).sort();
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    ['an alias bomb', `a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n`],
    ['10,000 levels', `${'['.repeat(10_000)}${']'.repeat(10_000)}`],
    ['duplicate keys', runbook('dup', '[a]', '  targets: "true"\n')],
    ['__proto__', 'apiVersion: fettle/v1\nkind: Runbook\n__proto__: {x: 1}\nmetadata: {name: x}\nspec: {steps: []}\n'],
    ['wrong types', 'apiVersion: 1\nkind: [Runbook]\nmetadata: x\nspec: 7\n'],
    ['an unknown kind', 'apiVersion: fettle/v1\nkind: Robot\nmetadata: {name: x}\nspec: {}\n'],
    ['the same name twice', `${runbook('same')}---\n${runbook('same', '[b]')}`],
    ['a selector with an unknown field', runbook('odd').replace('asset.kind', 'asset.knid')],
    ['a wrong cron expression', `${runbook('plain')}---\n${schedule('odd', 'plain', '61 * * * *')}`],
    ['an unknown zone', `${runbook('plain')}---\n${schedule('odd', 'plain', '0 0 * * *', 'Europe/Berlino')}`],
  ])('refuses %s with findings that have a place', async (_name, source) => {
    const before = await count('document_version');
    const answer = await apply(source);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 422, code: 'invalid-document' });
    const errors = answer.body.findings.filter((finding) => finding.severity === 'error');
    expect(errors.length).toBeGreaterThan(0);
    for (const finding of errors)
      expect(finding).toMatchObject({ position: { line: expect.any(Number), column: expect.any(Number) } });
    expect(await count('document_version')).toBe(before);
  });
});

describe('list and export', () => {
  it('lists by kind, in pages', async () => {
    await apply(`${runbook('listed')}---\n${schedule('listed-daily', 'listed')}`);
    const books = await api.call<{ items: { kind: string; name: string }[]; next: string | null }>(
      'GET',
      '/api/v1/documents?kind=Runbook&limit=2',
    );
    expect(books.body.items.map((item) => item.kind)).toEqual(['Runbook', 'Runbook']);
    expect(books.body.next).not.toBeNull();
    const schedules = await api.call<{ items: { name: string }[]; next: null }>(
      'GET',
      '/api/v1/documents?kind=Schedule',
    );
    expect(schedules.body.items.map((item) => item.name)).toContain('listed-daily');
  });

  it('exports a source that changes nothing when it is applied again', async () => {
    const exported = await api.call<string>('GET', '/api/v1/documents/export');
    expect(exported.headers.get('content-type')).toMatch(/yaml/);
    const again = await apply(exported.text);
    expect(again.status).toBe(200);
    expect(again.body.items.length).toBeGreaterThan(5);
    expect(again.body.items.filter((item) => item.result !== 'unchanged')).toEqual([]);
  });
});

describe('schedules', () => {
  /** Nobody sends here; what other schedules of the same times had told is told once. */
  const outbox = () =>
    api.sql<{ payload: { cron: string }; subject: string }>(
      `SELECT payload, subject FROM outbox WHERE kind = 'put-schedule' ORDER BY id`,
    );

  it('makes the row and the command to Temporal with the document, again only where the times change', async () => {
    const before = (await outbox()).length;
    await apply(`${runbook('nightly')}---\n${schedule('nightly', 'nightly', '31 2 * * *')}`);
    const told = async () => (await outbox()).slice(before);
    expect(await told()).toEqual([
      expect.objectContaining({ payload: expect.objectContaining({ cron: '31 2 * * *', timeZone: 'Europe/Berlin' }) }),
    ]);
    const [first] = await api.sql<{ watermark: Date; next_at: Date }>(
      `SELECT watermark, next_at FROM schedule WHERE name = 'nightly'`,
    );
    expect(first!.next_at.getTime()).toBeGreaterThan(first!.watermark.getTime());
    await apply(schedule('nightly', 'nightly', '31 2 * * *').replace('cron:', 'overlap: allow, cron:'));
    expect(await told()).toHaveLength(1);
    await apply(schedule('nightly', 'nightly', '45 3 * * *'));
    expect((await told()).map((row) => row.payload.cron)).toEqual(['31 2 * * *', '45 3 * * *']);
    const [second] = await api.sql<{ watermark: Date }>(`SELECT watermark FROM schedule WHERE name = 'nightly'`);
    expect(second!.watermark.getTime()).toBeGreaterThan(first!.watermark.getTime());
  });

  it('shows the next five fires in the zone of the schedule', async () => {
    const answer = await api.call<Schedule>('GET', '/api/v1/schedules/nightly');
    expect(answer.body.nextFires).toHaveLength(5);
    for (const fire of answer.body.nextFires) expect(fire.local).toMatch(/T03:45:00\+0[12]:00/);
    expect(answer.body).toMatchObject({ runbook: 'nightly', timeZone: 'Europe/Berlin', paused: null });
  });

  it('pauses with a reason and resumes; twice changes nothing, but a new reason is taken and recorded', async () => {
    const body = { reason: 'the building moves' };
    const paused = await api.call<Schedule>('POST', '/api/v1/schedules/nightly/pause', { body });
    expect(paused.body.paused).toMatchObject({ by: 'local-admin', reason: 'the building moves' });
    expect(paused.body.nextFires).toEqual([]);
    const twice = await api.call<Schedule>('POST', '/api/v1/schedules/nightly/pause', { body });
    expect(twice.body.paused).toEqual(paused.body.paused);
    const operator = await api.tokenOf('mover', 'operator');
    const again = { body: { reason: 'it still moves' }, token: operator };
    const anew = await api.call<Schedule>('POST', '/api/v1/schedules/nightly/pause', again);
    expect(anew.body.paused).toEqual({
      since: paused.body.paused!.since,
      until: null,
      by: 'mover',
      reason: 'it still moves',
    });
    const resumed = await api.call<Schedule>('POST', '/api/v1/schedules/nightly/resume');
    expect(resumed.body).toMatchObject({ paused: null, nextFires: { length: 5 } });
    await api.call('POST', '/api/v1/schedules/nightly/resume');
    const list = await api.call<{ items: { action: string; detail: object }[] }>(
      'GET',
      '/api/v1/audit?objectKind=Schedule&objectName=nightly',
    );
    expect(list.body.items.map((item) => item.action).slice(0, 2)).toEqual(['schedule.resume', 'schedule.pause']);
    expect(list.body.items.filter((item) => item.action === 'schedule.pause').map((item) => item.detail)).toMatchObject(
      [{ reason: 'it still moves', previousReason: 'the building moves' }, { reason: 'the building moves' }],
    );
    expect((await api.call('POST', '/api/v1/schedules/none/pause', { body })).status).toBe(404);
    expect((await api.call('POST', '/api/v1/schedules/nightly/pause', { body: {} })).status).toBe(400);
  });

  it('records what fell into a pause as skipped before it resumes', async () => {
    await apply(`${runbook('often')}---\n${schedule('often', 'often', '* * * * *', 'UTC')}`);
    await api.sql(`UPDATE schedule SET watermark = now() - interval '10 minutes', paused_at = now() - interval '11 minutes',
      paused_by = 'x', pause_reason = 'x' WHERE name = 'often'`);
    const resumed = await api.call<Schedule>('POST', '/api/v1/schedules/often/resume');
    expect(resumed.body.lastFires).toMatchObject([{ outcome: 'skipped', code: 'paused', instants: 10 }]);
    expect(await count('run')).toBe(0);
  });

  it('stays as it is where more is to be settled than one request may', async () => {
    await apply(`${runbook('behind')}---\n${schedule('behind', 'behind', '* * * * * *', 'UTC')}`);
    await api.sql(`UPDATE schedule SET watermark = now() - interval '30 hours', paused_at = now() - interval '31 hours',
      paused_by = 'x', pause_reason = 'x' WHERE name = 'behind'`);
    const resume = () => api.call<Schedule & Problem>('POST', '/api/v1/schedules/behind/resume');
    expect(await resume()).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const fires = 'SELECT 1 FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name = $1 LIMIT 1';
    expect(await api.sql(fires, ['behind'])).toEqual([]);
    await api.sql(`UPDATE schedule SET watermark = now() - interval '20 seconds' WHERE name = 'behind'`);
    expect(await resume()).toMatchObject({ status: 200, body: { paused: null } });
  }, 120_000);

  it('belongs to whoever applied its newest version', async () => {
    const author = await api.tokenOf('writer', 'author');
    const owner = () =>
      api.sql<{ name: string }>(
        `SELECT p.name FROM schedule s JOIN principal p ON p.id = s.created_by WHERE s.name = 'nightly'`,
      );
    expect(await owner()).toEqual([{ name: 'local-admin' }]);
    expect((await apply(schedule('nightly', 'nightly', '0 4 * * *'), { token: author })).status).toBe(200);
    expect(await owner()).toEqual([{ name: 'writer' }]);
  });
});
