// The iCalendar feed of schedules, over real HTTP.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CreatedFeed, Feed, Problem } from '@fettle/contracts';
import { createToken } from '@fettle/security';
import { capture } from '../../apps/cli/dist/session/testing/capture-host.js';
import { startApi, type Answer, type TestApi } from '../api/api-server.js';

let api: TestApi;
let viewer: string;
beforeAll(async () => {
  api = await startApi();
  viewer = await api.tokenOf('olga', 'viewer');
  const source = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: patch}
spec: {targets: "true", steps: [{id: patch, uses: ssh.run, with: {argv: [uptime]}}]}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: nightly, description: "Patches; all of them,\\nat night"}
spec: {runbook: patch, cron: "30 2 * * *", timeZone: Europe/Berlin}
---
apiVersion: fettle/v1
kind: Schedule
metadata: {name: often}
spec: {runbook: patch, every: 1m}
`;
  const applied = await api.call('POST', '/api/v1/documents/apply', { body: { source } });
  if (applied.status !== 200) throw new Error(applied.text);
}, 180_000);
afterAll(() => api?.close());

async function create(token: string, name: string): Promise<CreatedFeed> {
  const answer = await api.call<CreatedFeed>('POST', '/api/v1/schedule-feeds', { token, body: { name } });
  expect(answer.status).toBe(201);
  return answer.body;
}
const read = (path: string, headers: Record<string, string> = {}): Promise<Answer<Problem>> =>
  api.call<Problem>('GET', path, { token: null, headers });
const values = (text: string, property: string): string[] =>
  text
    .replace(/\r\n /g, '')
    .split('\r\n')
    .flatMap((line) => (line.startsWith(`${property}:`) ? [line.slice(property.length + 1)] : []));

describe('the feed of schedules', () => {
  it('is read without signing in, with stable ids, lengths from history, and its limits said', async () => {
    const { path } = await create(viewer, 'phone');
    const answer = await read(path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/calendar; charset=utf-8');
    const uids = values(answer.text, 'UID');
    expect(new Set(uids).size).toBe(uids.length);
    // 63 days of a daily one (62 or 64 where a clock is moved), and the most that one schedule may have.
    const nightly = values(answer.text, 'SUMMARY').filter((summary) => summary === 'nightly').length;
    expect(nightly).toBeGreaterThanOrEqual(62);
    expect(values(answer.text, 'SUMMARY').filter((summary) => summary === 'often')).toHaveLength(200);
    expect(values(answer.text, 'X-WR-CALDESC')[0]).toContain('often is due more often than the 200 instants');
    expect(answer.text.replace(/\r\n /g, '')).toContain('Patches\\; all of them\\,\\nat night');
    expect(values((await read(path)).text, 'UID')).toEqual(uids);
  });

  it('answers 304 to who has it, until something changes', async () => {
    const { path } = await create(viewer, 'laptop');
    const etag = (await read(path)).headers.get('etag')!;
    expect(etag).toMatch(/^"[\w-]{27}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const answer = await read(path, { 'if-none-match': known });
      expect({ known, status: answer.status, text: answer.text }).toEqual({ known, status: 304, text: '' });
    }
    await api.call('POST', '/api/v1/schedules/nightly/pause', { body: { reason: 'holiday' } });
    const changed = await read(path, { 'if-none-match': etag });
    expect(changed.status).toBe(200);
    expect(values(changed.text, 'SUMMARY')).toContain('nightly (paused)');
    expect(values(changed.text, 'STATUS')).toContain('TENTATIVE');
    await api.call('POST', '/api/v1/schedules/nightly/resume');
  });

  it('stores no token, records making and revoking, and stops at once when it is revoked', async () => {
    const { path, id } = await create(viewer, 'wall');
    const token = /fettle_[^.]+/.exec(path)![0];
    const [row] = await api.sql<{ text: string }>(
      `SELECT (SELECT jsonb_agg(f)::text FROM schedule_feed f) || (SELECT string_agg(convert_from(canonical, 'UTF8'), '') FROM audit_record) AS text`,
    );
    expect(row!.text).not.toContain(token.slice(-20));
    expect((await api.call('GET', '/api/v1/whoami', { token })).status).toBe(401);
    const other = await api.tokenOf('otto', 'viewer');
    const list = (as: string): Promise<Answer<{ items: Feed[] }>> =>
      api.call<{ items: Feed[] }>('GET', '/api/v1/schedule-feeds', { token: as });
    expect((await list(viewer)).body.items.map(({ name }) => name)).toEqual(['wall', 'laptop', 'phone']);
    expect((await list(other)).body.items).toEqual([]);
    expect((await list(api.adminToken)).body.items).toHaveLength(3);
    expect((await api.call('POST', `/api/v1/schedule-feeds/${id}/revoke`, { token: other })).status).toBe(404);
    expect((await read(path)).status).toBe(200);
    expect((await api.call('POST', `/api/v1/schedule-feeds/${id}/revoke`, { token: viewer })).status).toBe(200);
    expect((await read(path)).status).toBe(404);
    const records = await api.sql<{ action: string }>(
      `SELECT action FROM audit_record WHERE object_kind = 'feed' AND object_name = 'wall' ORDER BY id`,
    );
    expect(records.map(({ action }) => action)).toEqual(['feed.create', 'feed.revoke']);
  });

  it('shows nothing to a wrong address, and repeats none of it', async () => {
    const { path } = await create(viewer, 'probe');
    const wrong = [
      path.replace(/.{5}\.ics$/, 'AAAAA.ics'),
      `/api/v1/feeds/schedules/${createToken().token}.ics`,
      `/api/v1/feeds/schedules/${viewer}.ics`,
      '/api/v1/feeds/schedules/x.ics',
      `/api/v1/feeds/schedules/${'%00'.repeat(3)}`,
      `/api/v1/feeds/schedules/${'a'.repeat(300)}`,
    ];
    for (const one of wrong) {
      const answer = await read(one);
      expect([400, 404]).toContain(answer.status);
      expect(answer.text).not.toContain('fettle_');
    }
  });

  it('ends with the rights of its owner, and has a limit a person', async () => {
    const leaver = await api.tokenOf('leaver', 'viewer');
    const { path } = await create(leaver, 'phone');
    await api.sql(`DELETE FROM role_binding WHERE principal_id = (SELECT id FROM principal WHERE name = 'leaver')`);
    expect((await read(path)).status).toBe(404);
    const many = await api.tokenOf('many', 'viewer');
    for (let index = 0; index < 20; index += 1) await create(many, `feed ${index}`);
    const answer = await api.call<Problem>('POST', '/api/v1/schedule-feeds', {
      token: many,
      body: { name: 'one more' },
    });
    expect(answer.body.code).toBe('limit-exceeded');
  });

  it('is made, listed and revoked from the command line', async () => {
    const env = { FETTLE_URL: api.url, FETTLE_TOKEN: viewer };
    const made = await capture(['schedule', 'feed', 'create', 'the phone of Olga'], { env });
    expect(made.exitCode).toBe(0);
    const answer = await fetch(made.stdout.trim());
    expect(await answer.text()).toMatch(/^BEGIN:VCALENDAR\r\n/);
    const listed = await capture(['schedule', 'feed', 'list', '-o', 'json'], { env });
    const [{ id }] = (JSON.parse(listed.stdout) as Feed[]).filter(({ name }) => name === 'the phone of Olga') as [Feed];
    expect((await capture(['schedule', 'feed', 'revoke', id], { env })).stderr).toContain('is revoked');
    expect((await fetch(made.stdout.trim())).status).toBe(404);
  });
});
