// What schedules are expected to do: over the API and the command line, with a real database.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forecastSchema, type Forecast, type ForecastRun } from '@fettle/contracts';
import { capture } from '../../apps/cli/dist/session/testing/capture-host.js';
import { startInventoryApi, type InventoryApi } from '../inventory/inventory-api.js';

let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
  const rows = ['web-1', 'web-2', 'web-3', 'db-1'].map((name, index) => ({
    line: index + 2,
    name,
    kind: 'server',
    address: `10.0.0.${index}`,
    labels: { role: name.slice(0, name.indexOf('-')) },
  }));
  await api.importRows(rows);
  await apply(documents);
}, 180_000);
afterAll(() => api?.close());

const documents = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: patch}
spec:
  targets: asset.kind == "server"
  capacity: ["site:\${{ inputs.site }}"]
  inputs: {type: object, properties: {site: {type: string, default: ber}}, additionalProperties: false}
  steps: [{id: patch, uses: ssh.run, with: {argv: [/usr/local/bin/patch]}}]
---
apiVersion: fettle/v1
kind: Runbook
metadata: {name: look}
spec:
  targets: asset.kind == "server"
  steps: [{id: look, uses: ssh.run, with: {argv: [uptime], effect: read-only}}]
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: patch-web}
spec: {runbook: patch, cron: "0 2 * * *", timeZone: Europe/Berlin, targets: 'asset.labels.role == "web"', inputs: {site: ber}}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: patch-all}
spec: {runbook: patch, cron: "5 2 * * *", timeZone: Europe/Berlin, inputs: {site: ber}}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: patch-muc}
spec: {runbook: patch, cron: "5 2 * * *", timeZone: Europe/Berlin, targets: 'asset.labels.role == "db"', inputs: {site: muc}}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: look-often}
spec: {runbook: look, every: 1m}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: gone}
spec: {runbook: look, at: "2001-01-01T00:00:00Z"}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: printers}
spec: {runbook: patch, cron: "0 3 * * *", targets: 'asset.labels.role == "printer"', inputs: {site: lon}}
`;

async function apply(source: string): Promise<void> {
  const answer = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
  if (answer.status !== 200) throw new Error(answer.text);
}

async function ask(query = '', token?: string): Promise<Forecast> {
  const answer = await api.call('GET', `/api/v1/forecast?${query}`, token === undefined ? {} : { token });
  if (answer.status !== 200) throw new Error(answer.text);
  return forecastSchema.parse(answer.body);
}

const of = (forecast: Forecast, schedule: string): ForecastRun[] =>
  forecast.runs.filter((run) => run.schedule === schedule);

/** Ended runs of a schedule, as if they had taken so many minutes. */
async function history(schedule: string, minutes: readonly number[]): Promise<void> {
  for (const [index, took] of minutes.entries()) {
    await api.sql(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, schedule_id, started_at, ended_at, deadline_at)
       SELECT gen_random_uuid(), 'default', 'patch', v.id, v.digest, 'succeeded', $1 || $2, '{}', '', 0, 0, 1, '{}', p.id, s.id,
         now() - $3 * interval '1 minute', now(), now()
       FROM schedule s, document_version v, principal p WHERE s.name = $1 AND v.name = 'patch' AND v.kind = 'Runbook' LIMIT 1`,
      [schedule, String(index), took],
    );
  }
}

describe('a forecast', () => {
  it('lists each coming run by instant with its assets, says what has no history, and names what starts nothing', async () => {
    const found = await ask('days=2');
    expect(Date.parse(found.to) - Date.parse(found.from)).toBe(2 * 86_400_000);
    const times = found.runs.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((left, right) => left - right));
    const [web] = of(found, 'patch-web');
    expect(web).toMatchObject({
      runbook: 'patch',
      outcome: 'starts',
      timeZone: 'Europe/Berlin',
      duration: { basis: 'none', samples: 0, medianMs: null, expectedMs: 600_000 },
      targets: { count: 3, names: ['web-1', 'web-2', 'web-3'], undetermined: 0, more: false },
    });
    expect(web!.local).toMatch(/T02:00:00\+0[12]:00$/);
    expect(of(found, 'look-often')).toHaveLength(500);
    expect(found.limits.join()).toContain('look-often is due more than 500 times');
    expect(found.idle).toMatchObject([{ schedule: 'gone', state: 'not-due', reason: 'it is never due again' }]);
    expect(of(found, 'printers')[0]).toMatchObject({ targets: { count: 0 }, findings: [{ kind: 'no-targets' }] });
  });

  it('tells collisions on assets and on capacity of those that change something, at the second of two', async () => {
    const found = await ask('days=2');
    expect(of(found, 'patch-web')[0]!.findings).toEqual([]);
    expect(of(found, 'patch-all')[0]!.findings).toMatchObject([
      { kind: 'asset', with: { schedule: 'patch-web' }, assets: { count: 3, names: ['web-1', 'web-2', 'web-3'] } },
      { kind: 'capacity', key: 'site:ber', with: { schedule: 'patch-web' } },
    ]);
    // The same asset as patch-all at the same instant, another site.
    expect(of(found, 'patch-muc')[0]!.findings).toMatchObject([
      { kind: 'asset', assets: { count: 1, names: ['db-1'] } },
    ]);
    expect(of(found, 'look-often').flatMap(({ findings }) => findings)).toEqual([]);
  });

  it('reckons with durations of ended runs', async () => {
    await history('patch-web', [1, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
    const found = await ask('days=2');
    const [web] = of(found, 'patch-web');
    expect(web!.duration).toMatchObject({ basis: 'schedule', samples: 10, medianMs: 60_000, p90Ms: 60_000 });
    expect(Date.parse(web!.endsAt!) - Date.parse(web!.startsAt!)).toBe(60_000);
    expect(of(found, 'patch-all')[0]).toMatchObject({ duration: { basis: 'runbook', samples: 10 } });
    // It has ended by then.
    expect(of(found, 'patch-all')[0]!.findings).toEqual([]);
  });

  it('shows one asset, and to somebody narrowed only what he may see', async () => {
    const one = await ask('days=2&asset=db-1');
    expect([...new Set(one.runs.map(({ schedule }) => schedule))].sort()).toEqual([
      'look-often',
      'patch-all',
      'patch-muc',
    ]);
    expect(one.runs[0]!.targets).toMatchObject({ count: 1, names: ['db-1'] });
    const token = await api.tokenOf('narrowed', 'viewer', 'asset.labels.role == "web"');
    const narrowed = await ask('days=2', token);
    expect(of(narrowed, 'patch-all')[0]!.targets).toMatchObject({ count: 3, names: ['web-1', 'web-2', 'web-3'] });
    expect(JSON.stringify(narrowed)).not.toContain('db-1');
    const hidden = await api.call('GET', '/api/v1/forecast?asset=db-1', { token });
    expect(hidden.status).toBe(404);
  });

  it('shows one asset with all that is in the way of what touches it', async () => {
    await apply(`
apiVersion: fettle/v1
kind: Schedule
metadata: {name: wide}
spec: {runbook: patch, cron: "0 7 * * *", targets: 'asset.labels.role == "web"', inputs: {site: ham}}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: wide-too}
spec: {runbook: patch, cron: "0 7 * * *", targets: 'asset.labels.role == "db"', inputs: {site: ham}}
`);
    const one = await ask('days=1&asset=db-1');
    expect(of(one, 'wide')).toEqual([]);
    expect(of(one, 'wide-too')[0]!.findings).toContainEqual(
      expect.objectContaining({
        kind: 'capacity',
        key: 'site:ham',
        with: expect.objectContaining({ schedule: 'wide' }),
      }),
    );
  });

  it('compares with a run that is open now, names paused schedules, and says what a start would be refused for', async () => {
    await apply(
      'apiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: soon}\n' +
        'spec: {runbook: patch, every: 20s, targets: \'asset.labels.role == "db"\', inputs: {site: muc}}\n',
    );
    const started = await api.call<{ id: string }>('POST', '/api/v1/runs', {
      body: { runbook: 'patch', on: 'asset.labels.role == "db"', inputs: { site: 'muc' } },
    });
    expect(started.status).toBe(202);
    const found = await ask('days=1');
    expect(of(found, 'soon')[0]!.findings).toMatchObject([
      { kind: 'asset', with: { runId: started.body.id, runbook: 'patch' }, assets: { names: ['db-1'] } },
      { kind: 'capacity', key: 'site:muc' },
    ]);
    // The runbook takes a minute, its schedule is due every 20 s and skips overlaps.
    expect(
      of(found, 'soon')
        .slice(0, 4)
        .map(({ outcome }) => outcome),
    ).toEqual(['starts', 'skipped', 'skipped', 'starts']);
    await api.call('POST', '/api/v1/schedules/soon/pause', { body: { reason: 'holiday' } });
    const paused = await ask('days=1');
    expect(paused.idle.find(({ schedule }) => schedule === 'soon')).toMatchObject({
      state: 'paused',
      reason: expect.stringMatching(/: holiday$/),
      instants: expect.any(Number),
    });
  });

  it('tells which calendars are closed, for a whole schedule and for assets', async () => {
    await apply(`
apiVersion: fettle/v1
kind: Calendar
metadata: {name: change-freeze}
spec: {freezes: [{name: all, from: "2020-01-01", to: "2099-12-31"}]}
---
apiVersion: fettle/v1
kind: Calendar
metadata: {name: db-freeze}
spec: {assets: 'asset.labels.role == "db"', freezes: [{name: books, from: "2020-01-01", to: "2099-12-31"}]}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: frozen}
spec: {runbook: patch, cron: "0 5 * * *", calendars: [change-freeze], whenClosed: refuse, inputs: {site: lon}}
`);
    const found = await ask('days=1');
    expect(of(found, 'frozen')).toMatchObject([
      {
        outcome: 'refused',
        startsAt: null,
        findings: [
          { kind: 'closed', calendar: 'change-freeze', message: expect.stringMatching(/^frozen by the calendar/) },
        ],
      },
    ]);
    expect(of(found, 'patch-all')[0]).toMatchObject({ outcome: 'starts' });
    expect(of(found, 'patch-all')[0]!.findings).toContainEqual(
      expect.objectContaining({
        kind: 'closed',
        calendar: 'db-freeze',
        message: expect.stringMatching(/^db-1 waits: frozen/),
      }),
    );
    expect(JSON.stringify(of(found, 'patch-web'))).not.toContain('db-freeze');
  });

  it('says of assets that somebody may not see only that he does not see them', async () => {
    const token = await api.tokenOf('narrowed-to-muc', 'viewer', 'asset.site == "muc"');
    const narrowed = await ask('days=1', token);
    const [all] = of(narrowed, 'patch-all');
    expect(all).toMatchObject({ outcome: 'starts', targets: { count: 0, names: [] } });
    expect(all!.findings.filter(({ kind }) => kind === 'no-targets')).toMatchObject([
      { message: 'its selector matches no asset now that you may see' },
    ]);
    expect(JSON.stringify(narrowed)).not.toContain('would be refused');
  });

  it('begins with fires that wait, and goes on after a pause that ends', async () => {
    await apply(`
apiVersion: fettle/v1
kind: Schedule
metadata: {name: held}
spec: {runbook: look, cron: "0 6 * * *", timeZone: Europe/Berlin, whenClosed: defer}
`);
    const opensAt = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
    await api.sql(
      `INSERT INTO fire (schedule_id, nominal_at, source, outcome, code, reason, due_at, settled_at)
       SELECT id, '2026-01-05T05:00:00Z', 'nominal', 'deferred', 'freeze', '', $1, now() FROM schedule WHERE name = 'held'`,
      [opensAt],
    );
    await api.sql(`UPDATE schedule SET waiting = 1 WHERE name = 'held'`);
    const found = await ask('days=3');
    expect(of(found, 'held')).toHaveLength(4);
    expect(of(found, 'held')[0]).toMatchObject({
      at: '2026-01-05T05:00:00.000Z',
      local: '2026-01-05T06:00:00+01:00',
      outcome: 'deferred',
      startsAt: opensAt.toISOString(),
      targets: { count: 4 },
    });
    const until = new Date(Date.now() + 86_400_000).toISOString();
    await api.call('POST', '/api/v1/schedules/held/pause', { body: { reason: 'stocktaking', until } });
    const paused = await ask('days=3');
    expect(of(paused, 'held').map(({ outcome }) => outcome)).toEqual(['starts', 'starts']);
    expect(paused.idle.map(({ schedule }) => schedule)).not.toContain('held');
    expect(paused.limits.join()).toMatch(/schedule held is paused since .* until .*: stocktaking: its instants before/);
  });

  it('is a table with what to look at below, and its JSON is the same as that of the API', async () => {
    const env = { FETTLE_URL: api.url, FETTLE_TOKEN: api.adminToken, TZ: 'Europe/Berlin' };
    const { stdout, exitCode } = await capture(['forecast', '--days', '2'], { env });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Space default, .*: \d+ runs, \d+ finding/);
    expect(stdout).toMatch(/patch-web +patch +starts +1 min +3: web-1, web-2, web-3/);
    expect(stdout).toMatch(/To look at:\n(.*\n)*? {2}printers, .*: its selector matches no asset now/);
    expect(stdout).toMatch(/Starts nothing:\n(.*\n)*? {2}soon: paused since .*: holiday \(\d+ instants/);
    expect(stdout).toMatch(/Not looked at:\n(.*\n)*? {2}schedule look-often is due more than 500 times/);
    expect(stdout.match(/look-often +look/g)).toHaveLength(1);
    expect(stdout).toMatch(/look-often .*and 499 more until/);
    const all = await capture(['forecast', '--days', '2', '--all'], { env });
    expect(all.stdout.match(/look-often +look/g)).toHaveLength(500);
    const json = await capture(['forecast', '--asset', 'db-1', '-o', 'json'], { env });
    expect(forecastSchema.parse(JSON.parse(json.stdout))).toMatchObject({ asset: 'db-1', space: 'default' });
    expect((await capture(['forecast', '--days', '93'], { env })).exitCode).toBe(2);
    expect((await capture(['forecast', '--asset', 'nothing'], { env })).exitCode).toBe(3);
  });
});
