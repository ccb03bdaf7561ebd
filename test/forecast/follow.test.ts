// Schedules that are due after another's runs, with a real database: who follows what, once each, and circles.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDataSource, listOpenFollows, type OpenFollow } from '@fettle/database';
import { followRun } from '@fettle/operations';
import type { Problem } from '@fettle/contracts';
import type { DataSource } from 'typeorm';
import { startInventoryApi, type InventoryApi } from '../inventory/inventory-api.js';

let api: InventoryApi;
let dataSource: DataSource;
/** Half a year away: due neither during the test nor in the days of a forecast. */
const farMonth = ((new Date().getUTCMonth() + 6) % 12) + 1;

beforeAll(async () => {
  api = await startInventoryApi();
  dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 6, applicationName: 'fettle-test' });
  await api.importRows([{ line: 2, name: 'web-1', kind: 'server', address: '10.0.0.1' }]);
  await apply(`${runbook}${schedule('backup', `cron: "0 2 1 ${farMonth} *"`)}`);
}, 180_000);
afterAll(async () => {
  await dataSource?.destroy();
  await api?.close();
});

const runbook = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: work}
spec: {targets: 'asset.kind == "server"', steps: [{id: work, uses: ssh.run, with: {argv: [uptime]}}]}
`;
const schedule = (name: string, spec: string): string =>
  `---\napiVersion: fettle/v1\nkind: Schedule\nmetadata: {name: ${name}}\nspec: {runbook: work, ${spec}}\n`;

async function apply(source: string): Promise<string> {
  const answer = await api.call<Problem>('POST', '/api/v1/documents/apply', { body: { source } });
  return answer.status === 200 ? 'applied' : JSON.stringify(answer.body);
}

/** A run of a schedule that ends as it is told. */
async function endedRun(name: string, state: string): Promise<string> {
  const triggered = await api.call<{ id: string }>('POST', `/api/v1/schedules/${name}/trigger`);
  if (triggered.status !== 202) throw new Error(triggered.text);
  await api.sql(`UPDATE run SET state = $2, started_at = now(), ended_at = clock_timestamp() WHERE id = $1`, [
    triggered.body.id,
    state,
  ]);
  return triggered.body.id;
}

const open = (): Promise<OpenFollow[]> => listOpenFollows(dataSource.manager, [], 100);
const decide = (follow: OpenFollow, now = new Date()): Promise<boolean> =>
  dataSource.transaction((transaction) => followRun(transaction, follow, now));
async function decideAll(now?: Date): Promise<void> {
  for (const follow of await open()) await decide(follow, now);
}

interface Row {
  readonly outcome: string;
  readonly code: string;
  readonly followed: string;
  readonly runId: string | null;
}
const ledger = (name: string): Promise<Row[]> =>
  api.sql<Row>(
    `SELECT f.outcome, f.code, f.evidence ->> 'followedRun' AS followed, f.run_id AS "runId"
     FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name = $1 AND f.source = 'after' ORDER BY f.settled_at`,
    [name],
  );

describe('a schedule that follows another', () => {
  it('starts after the end that it is about, and has a row for each other one', async () => {
    expect(await apply(schedule('verify', 'after: {schedule: backup}'))).toBe('applied');
    expect(await apply(schedule('repair', 'after: {schedule: backup, on: failure}'))).toBe('applied');
    expect(await apply(schedule('report', 'after: {schedule: backup, on: completion}, overlap: allow'))).toBe(
      'applied',
    );
    const good = await endedRun('backup', 'succeeded');
    await decideAll();
    const bad = await endedRun('backup', 'failed');
    await decideAll();
    const cancelled = await endedRun('backup', 'cancelled');
    await decideAll();
    const brief = async (name: string): Promise<string[]> =>
      (await ledger(name)).map(({ outcome, code, runId }) =>
        `${outcome} ${code} ${runId === null ? '' : 'run'}`.trim(),
      );
    expect(await brief('verify')).toEqual(['fired  run', 'skipped after', 'skipped after']);
    expect(await brief('repair')).toEqual(['skipped after', 'fired  run', 'skipped after']);
    expect(await brief('report')).toEqual(['fired  run', 'fired  run', 'fired  run']);
    expect((await ledger('report')).map(({ followed }) => followed)).toEqual([good, bad, cancelled]);
    const why = await api.call<{ answer: string }>('GET', '/api/v1/schedules/repair/why');
    expect(why.body.answer).toMatch(/^repair was due .*, when run .* of backup had ended, .*was cancelled/);
    const [fired] = await api.sql<{ reason: string }>(
      `SELECT f.reason FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.name = 'verify' AND f.outcome = 'fired'`,
    );
    expect(fired?.reason).toBe(`run ${good} of backup succeeded`);
    const list = await api.call<{ when: string }>('GET', '/api/v1/schedules/verify');
    expect(list.body.when).toBe('after backup succeeds');
  });

  it('is decided once, however many decide at the same time', async () => {
    await endedRun('backup', 'succeeded');
    const follows = (await open()).flatMap((follow) => [follow, follow, follow]);
    expect(follows.length).toBe(9);
    const decided = await Promise.all(follows.map((follow) => decide(follow)));
    expect(decided.filter(Boolean)).toHaveLength(3);
    expect(await open()).toEqual([]);
    const [twice] = await api.sql<{ count: string }>(
      `SELECT count(*) AS count FROM (SELECT 1 FROM fire WHERE source = 'after' GROUP BY schedule_id, evidence ->> 'followedRun' HAVING count(*) > 1) AS x`,
    );
    expect(Number(twice!.count)).toBe(0);
  });

  it('obeys overlap, pause and lateness as other fires do', async () => {
    expect(await apply(schedule('slow', 'after: {schedule: backup, within: 5m}, overlap: queue-one'))).toBe('applied');
    for (let index = 0; index < 3; index += 1) await endedRun('backup', 'succeeded');
    await decideAll();
    expect((await ledger('slow')).map(({ outcome, code }) => `${outcome} ${code}`.trim())).toEqual([
      'fired',
      'queued overlap',
      'skipped queue-full',
    ]);
    await api.call('POST', '/api/v1/schedules/slow/pause', { body: { reason: 'holiday' } });
    await endedRun('backup', 'succeeded');
    await decideAll();
    expect((await ledger('slow')).at(-1)).toMatchObject({ outcome: 'skipped', code: 'paused' });
    await api.call('POST', '/api/v1/schedules/slow/resume');
    await endedRun('backup', 'succeeded');
    await decideAll(new Date(Date.now() + 301_000));
    expect((await ledger('slow')).at(-1)).toMatchObject({ outcome: 'missed', code: 'late' });
  });

  it('follows only what ended since it follows, and nothing once it follows another', async () => {
    await endedRun('backup', 'succeeded');
    await decideAll();
    expect(await apply(schedule('late-comer', 'after: {schedule: backup}'))).toBe('applied');
    expect((await open()).length).toBe(0);
    expect(await apply(schedule('other', `cron: "0 3 1 ${farMonth} *"`))).toBe('applied');
    await endedRun('backup', 'succeeded');
    expect(await apply(schedule('late-comer', 'after: {schedule: other}'))).toBe('applied');
    await decideAll();
    expect(await ledger('late-comer')).toMatchObject([{ outcome: 'skipped', code: 'after', runId: null }]);
  });

  it('may not follow itself, through however many, nor nobody', async () => {
    expect(await apply(schedule('one', 'after: {schedule: backup}'))).toBe('applied');
    expect(await apply(schedule('two', 'after: {schedule: one}') + schedule('three', 'after: {schedule: two}'))).toBe(
      'applied',
    );
    const circle = await apply(schedule('one', 'after: {schedule: three}'));
    expect(circle).toContain('it would follow itself: one follows three follows two follows one');
    expect(await apply(schedule('self', 'after: {schedule: self}'))).toContain('self follows self');
    expect(await apply(schedule('lost', 'after: {schedule: nobody}'))).toContain('there is no schedule nobody');
    // What was refused changed nothing.
    expect(await api.sql(`SELECT after_name FROM schedule WHERE name = 'one'`)).toEqual([{ after_name: 'backup' }]);
    expect(await apply(schedule('a', 'after: {schedule: b}') + schedule('b', 'after: {schedule: a}'))).toContain(
      'follow itself',
    );
    const found = await api.call<{ idle: { schedule: string; reason: string }[] }>('GET', '/api/v1/forecast');
    expect(found.body.idle).toContainEqual(
      expect.objectContaining({
        schedule: 'two',
        reason: expect.stringMatching(/^it is due after one succeeds, and no run/) as unknown,
      }),
    );
  });
});
