// By when runs of schedules must have started and finished, with a real database.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createDataSource, forgetLostDeadlines, listDecidableDeadlines } from '@fettle/database';
import type { ScheduleNotifications } from '@fettle/contracts';
import { settleFire, watchDeadline } from '@fettle/operations';
import type { DataSource } from 'typeorm';
import { capture } from '../../apps/cli/dist/session/testing/capture-host.js';
import { startInventoryApi, type InventoryApi } from '../inventory/inventory-api.js';

let api: InventoryApi;
let dataSource: DataSource;
beforeAll(async () => {
  api = await startInventoryApi();
  dataSource = await createDataSource({ url: api.databaseUrl, poolSize: 6, applicationName: 'fettle-test' });
  await api.importRows([{ line: 2, name: 'web-1', kind: 'server', address: '10.0.0.1' }]);
}, 180_000);
afterAll(async () => {
  await dataSource?.destroy();
  await api?.close();
});

const MINUTE_MS = 60_000;

/** A schedule whose only instant was so many minutes ago, settled. */
async function due(name: string, minutesAgo: number, spec: string): Promise<string | null> {
  const at = new Date(Math.floor(Date.now() / 1000) * 1000 - minutesAgo * MINUTE_MS);
  const source = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: work}
spec: {targets: 'asset.kind == "server"', steps: [{id: work, uses: ssh.run, with: {argv: [uptime]}}]}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: ${name}}
spec: {runbook: work, at: "${at.toISOString().replace('.000', '')}", catchUp: 1h, mustStartBy: 5m, mustFinishBy: 30m, ${spec}}
`;
  const answer = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
  if (answer.status !== 200) throw new Error(answer.text);
  // As if it had been applied before its instant.
  const [row] = await api.sql<{ id: string }>(
    `UPDATE schedule SET watermark = $2, quarantine_reason = NULL WHERE name = $1 RETURNING id`,
    [name, new Date(at.getTime() - 1000)],
  );
  await dataSource.transaction((transaction) => settleFire(transaction, row!.id, new Date()));
  const [fire] = await api.sql<{ run_id: string | null }>(`SELECT run_id FROM fire WHERE schedule_id = $1`, [row!.id]);
  return fire!.run_id;
}

async function watch(): Promise<number> {
  const found = await listDecidableDeadlines(dataSource.manager, 100);
  // Three that look at the same time.
  const raised = await Promise.all(
    [...found, ...found, ...found].map((one) =>
      dataSource.transaction((transaction) => watchDeadline(transaction, one, new Date())),
    ),
  );
  return raised.filter(Boolean).length;
}

const said = (name: string): Promise<{ kind: string; reason: string | null }[]> =>
  api.sql(
    `SELECT d.kind, d.reason FROM schedule_deadline d JOIN schedule s ON s.id = d.schedule_id WHERE s.name = $1 ORDER BY d.kind DESC`,
    [name],
  );
const started = (runId: string | null, minutesAgo: number): Promise<unknown> =>
  api.sql(`UPDATE run SET state = 'running', started_at = now() - $2 * interval '1 minute' WHERE id = $1`, [
    runId,
    minutesAgo,
  ]);

describe('deadlines of schedules', () => {
  it('are forgotten once they are met', async () => {
    const runId = await due('punctual', 10, '');
    await started(runId, 8);
    expect(await watch()).toBe(0);
    expect(await said('punctual')).toEqual([{ kind: 'finish', reason: null }]);
    await api.sql(`UPDATE run SET state = 'failed', ended_at = now() WHERE id = $1`, [runId]);
    expect(await watch()).toBe(0);
    expect(await said('punctual')).toEqual([]);
  });

  it('are raised once when their time is over: in the audit log, among the metrics, and at the run', async () => {
    const runId = await due('late', 40, '');
    expect(await watch()).toBe(2);
    expect(await watch()).toBe(0);
    const [start, finish] = await said('late');
    expect(start!.reason).toMatch(/^it must have started by .*, and has not: run .* waits$/);
    expect(finish!.reason).toMatch(/^it must have finished by .*, and has not: run .* waits$/);
    const records = await api.sql<{ canonical: Buffer }>(
      `SELECT canonical FROM audit_record WHERE action = 'schedule.deadline' AND object_name = 'late' ORDER BY id`,
    );
    const details = records.map(({ canonical }) => (JSON.parse(canonical.toString()) as { detail: object }).detail);
    // Raised in the same millisecond: which of them comes first is not said.
    expect(details).toHaveLength(2);
    for (const kind of ['start', 'finish']) expect(details).toContainEqual(expect.objectContaining({ kind, runId }));
    const entries = await api.sql<{ data: { kind: string } }>(
      `SELECT data FROM entry WHERE run_id = $1 AND kind = 'deadline-missed' ORDER BY seq`,
      [runId],
    );
    // Decided at the same time: neither is promised to come first.
    expect(entries.map(({ data }) => data.kind).sort()).toEqual(['finish', 'start']);
    const metrics = await api.call('GET', '/metrics');
    expect(metrics.text).toMatch(/fettle_schedule_deadlines_missed\{kind="start"\} 1\n/);
  });

  it('are raised before that where nothing can start any more, or what happened came too late', async () => {
    // Refused at once: nothing is selected.
    expect(await due('refused', 1, 'targets: "false"')).toBeNull();
    const slow = await due('slow', 20, '');
    await started(slow, 10);
    expect(await watch()).toBe(3);
    expect((await said('refused')).map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/and was refused: .*no-targets/),
      expect.stringMatching(/and was refused: .*no-targets/),
    ]);
    expect(await said('slow')).toEqual([
      { kind: 'start', reason: expect.stringMatching(/, and started at .*: run /) },
      { kind: 'finish', reason: null },
    ]);
  });

  it('leave a schedule that a person paused alone', async () => {
    await due('resting', 0, '');
    await api.sql(`DELETE FROM fire WHERE schedule_id = (SELECT id FROM schedule WHERE name = 'resting')`);
    await api.sql(`DELETE FROM schedule_deadline WHERE schedule_id = (SELECT id FROM schedule WHERE name = 'resting')`);
    const [row] = await api.sql<{ id: string }>(
      `UPDATE schedule SET watermark = watermark - interval '2 hours', paused_at = now() - interval '2 hours', paused_by = 'olga', pause_reason = 'x'
       WHERE name = 'resting' RETURNING id`,
    );
    await dataSource.transaction((transaction) => settleFire(transaction, row!.id, new Date()));
    const fires = await api.sql<{ code: string }>(`SELECT code FROM fire WHERE schedule_id = $1`, [row!.id]);
    expect(fires).toEqual([{ code: 'paused' }]);
    expect(await said('resting')).toEqual([]);
    expect(await watch()).toBe(0);
  });

  it('are kept as long as their fires are in the ledger, and forgotten after, the oldest first', async () => {
    const forget = (limit: number): Promise<number> => forgetLostDeadlines(dataSource.manager, limit);
    await due('older', 60, '');
    await due('old', 50, '');
    await watch();
    const kept = (): Promise<{ count: string }[]> => api.sql(`SELECT count(*) AS count FROM schedule_deadline`);
    const [before] = await kept();
    expect(await forget(1000)).toBe(0);
    expect(await kept()).toEqual([before]);
    // As if their partition had been dropped.
    await api.sql(`DELETE FROM fire WHERE schedule_id IN (SELECT id FROM schedule WHERE name IN ('older', 'old'))`);
    expect(await forget(2)).toBe(2);
    expect(await said('older')).toEqual([]);
    expect(await said('old')).toHaveLength(2);
    expect(await forget(1000)).toBe(2);
    expect(await said('old')).toEqual([]);
    expect(Number((await kept())[0]!.count)).toBe(Number(before!.count) - 4);
  });

  it('say whom they told, over the API and on the command line', async () => {
    await due(
      'telling',
      40,
      'notify: [{on: [deadline-missed], uses: notify.webhook, with: {url: "http://x/", secret: hooks}}]',
    );
    expect(await watch()).toBe(2);
    const { body } = await api.call<ScheduleNotifications>('GET', '/api/v1/schedules/telling/notifications');
    expect(body.items).toHaveLength(2);
    expect(body.items[0]).toMatchObject({
      state: 'deadline-missed',
      uses: 'notify.webhook',
      item: 0,
      outcome: null,
      attempts: 0,
    });
    const env = { FETTLE_URL: api.url, FETTLE_TOKEN: api.adminToken };
    const { stdout, exitCode } = await capture(['schedule', 'notifications', 'telling'], { env });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/deadline-missed +notify\.webhook \(notify\[0\]\) +again at .*it must have/);
    expect((await capture(['schedule', 'notifications', 'nothing'], { env })).exitCode).toBe(3);
  });
});
