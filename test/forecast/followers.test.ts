// Runs that are expected because others are expected to end: over the API and the command line, with a real database.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forecastSchema, type Forecast, type ForecastRun } from '@fettle/contracts';
import { capture } from '../../apps/cli/dist/session/testing/capture-host.js';
import { startInventoryApi, type InventoryApi } from '../inventory/inventory-api.js';

let api: InventoryApi;
beforeAll(async () => {
  api = await startInventoryApi();
  const rows = ['web-1', 'db-1'].map((name, index) => ({
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

const schedule = (name: string, spec: string): string =>
  `---\napiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: {runbook: work, ${spec}}\n`;
const on = (role: string): string => `targets: 'asset.labels.role == "${role}"'`;
const documents = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: work}
spec: {targets: 'asset.kind == "server"', steps: [{id: work, uses: ssh.run, with: {argv: [uptime]}}]}
${schedule('backup', `cron: "0 2 * * *", ${on('db')}`)}${schedule('report', 'after: {schedule: verify, on: completion}')}${schedule('verify', `after: {schedule: backup}, mustStartBy: 1h, ${on('web')}`)}${schedule('repair', 'after: {schedule: backup, on: failure}')}${schedule('both', 'cron: "0 12 * * *", after: {schedule: backup}')}${schedule('lonely', 'after: {schedule: once}')}${schedule('once', 'at: "2001-01-01T00:00:00Z"')}`;

async function apply(source: string): Promise<void> {
  const answer = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
  if (answer.status !== 200) throw new Error(answer.text);
}

async function ask(query = ''): Promise<Forecast> {
  const answer = await api.call('GET', `/api/v1/forecast?days=3&${query}`);
  if (answer.status !== 200) throw new Error(answer.text);
  return forecastSchema.parse(answer.body);
}

const of = (forecast: Forecast, name: string): ForecastRun[] => forecast.runs.filter((run) => run.schedule === name);

describe('a forecast of runs that follow others', () => {
  it('expects them at the expected end of what they follow, one after the other, and marks them', async () => {
    const found = await ask();
    const [backup, verify, report] = ['backup', 'verify', 'report'].map((name) => of(found, name));
    expect(backup!.length).toBeGreaterThanOrEqual(2);
    expect(backup!.every(({ after }) => after === null)).toBe(true);
    expect(verify!.map(({ at }) => at)).toEqual(backup!.map(({ endsAt }) => endsAt).slice(0, verify!.length));
    expect(verify!.map(({ after }) => after)).toEqual(verify!.map(() => ({ schedule: 'backup', on: 'success' })));
    expect(verify![0]).toMatchObject({ outcome: 'starts', startsAt: verify![0]!.at, targets: { names: ['web-1'] } });
    expect(report!.map(({ at }) => at)).toEqual(verify!.map(({ endsAt }) => endsAt).slice(0, report!.length));
    expect(report![0]!.after).toEqual({ schedule: 'verify', on: 'completion' });
    const both = of(found, 'both');
    expect(new Set(both.map(({ after }) => after?.schedule ?? null))).toEqual(new Set([null, 'backup']));
    const times = found.runs.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect(found.idle.filter(({ state }) => state === 'after')).toEqual([
      { schedule: 'repair', state: 'after', reason: 'it is due after backup fails', instants: null },
      {
        schedule: 'lonely',
        state: 'after',
        reason: 'it is due after once succeeds, and no run of that is expected to end in these days',
        instants: null,
      },
    ]);
  });

  it('tells them for an asset that only they touch, and on the command line', async () => {
    const web = await ask('asset=web-1');
    expect(of(web, 'backup')).toEqual([]);
    expect(of(web, 'verify').length).toBeGreaterThan(0);
    const env = { FETTLE_URL: api.url, FETTLE_TOKEN: api.adminToken };
    const { stdout, exitCode } = await capture(['forecast', '--days', '3', '--asset', 'web-1'], { env });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/verify .*expected after backup succeeds/);
  });

  it('expects none of what is paused, and one of a run that is open now', async () => {
    await api.call('POST', '/api/v1/schedules/backup/pause', { body: { reason: 'for a while' } });
    expect(of(await ask(), 'verify')).toEqual([]);
    const started = await api.call<{ id: string }>('POST', '/api/v1/schedules/backup/trigger');
    expect(started.status).toBe(202);
    await api.sql(`UPDATE run SET state = 'running', started_at = now() WHERE id = $1`, [started.body.id]);
    const verify = of(await ask(), 'verify');
    expect(verify).toHaveLength(1);
    // Nothing has ended yet, so ten minutes are assumed.
    expect(Date.parse(verify[0]!.at) - Date.now()).toBeGreaterThan(5 * 60_000);
    expect(Date.parse(verify[0]!.at) - Date.now()).toBeLessThan(15 * 60_000);
    await api.call('POST', '/api/v1/schedules/verify/pause', { body: { reason: 'as well' } });
    const found = await ask();
    expect(of(found, 'verify')).toEqual([]);
    expect(of(found, 'report')).toEqual([]);
    expect(found.idle.find((one) => one.schedule === 'verify')).toMatchObject({ state: 'paused' });
  });
});
