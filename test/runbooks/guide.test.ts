import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { actionContracts } from '@fettle/activities/contracts';
import type { RunDetail } from '@fettle/contracts';
import { lintDocuments, parseDocuments } from '@fettle/runbook/source';
import { ApiProcess } from '../support/api-process.js';
import { GuideHosts } from '../support/guide-hosts.js';
import { ScriptedService } from '../support/scripted-service.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const PATIENCE_MS = 240_000;
const guide = readFileSync(fileURLToPath(new URL('../../docs/how-to/write-runbooks.md', import.meta.url)), 'utf8');
/** The examples as they stand in the guide. */
const examples = [...guide.matchAll(/^```yaml\n(apiVersion:[\s\S]*?)^```$/gm)].map(([, text = '']) => text);

describe('the ten examples of the guide, each executed', () => {
  let stack: TestStack;
  let hosts: GuideHosts;
  let worker: WorkerProcess;
  let api: ApiProcess;
  let service: ScriptedService;
  const tokens: Record<string, string> = {};

  beforeAll(async () => {
    [stack, service, hosts] = await Promise.all([
      TestStack.create(),
      ScriptedService.start(),
      GuideHosts.start(['systemctl', 'shutdown', 'apt-get', 'restic', 'vacuumdb']),
    ]);
    await stack.addHosts(hosts.sshd, 4);
    const labels = [
      { role: 'web', env: 'prod', backup: 'yes', site: 'ber' },
      { role: 'cache', env: 'test', site: 'ams' },
      { role: 'app', env: 'test', site: 'ams' },
      { role: 'db', env: 'test', site: 'ber' },
    ];
    for (const [number, { site, ...more }] of labels.entries())
      await stack.dataSource.query(`UPDATE asset SET labels = $2, site = $3 WHERE name = $1`, [
        `host-00${number}`,
        JSON.stringify(more),
        site,
      ]);
    worker = await stack.startWorker();
    api = await ApiProcess.start(stack.environment);
    for (const name of ['ada', 'bob', 'cy']) {
      await call('POST', '/principals', { name, kind: 'person', bindings: [{ role: 'operator', selector: null }] });
      tokens[name] = String((await call('POST', '/tokens', { principal: name, name: 'test' }))['token']);
    }
    for (const source of examples) await call('POST', '/documents/apply', { source });
  }, PATIENCE_MS);

  afterAll(async () => {
    await worker?.stop();
    await api?.stop();
    await hosts?.stop();
    await service?.close();
    await stack?.close();
  }, PATIENCE_MS);

  async function call(method: string, path: string, body: unknown, as?: string): Promise<Record<string, unknown>> {
    const headers = as === undefined ? {} : { headers: { authorization: `Bearer ${tokens[as]}` } };
    const answer = await api.call(method, `/api/v1${path}`, { body, ...headers });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  async function start(runbook: string, inputs: Record<string, unknown> = {}, on?: string): Promise<string> {
    const narrowed = on === undefined ? {} : { on };
    return String((await call('POST', '/runs', { runbook, inputs, ...narrowed }, 'ada'))['id']);
  }

  const go = async (runbook: string, inputs?: Record<string, unknown>, on?: string): Promise<RunDetail> =>
    stack.ended(await start(runbook, inputs, on), PATIENCE_MS);

  const statesOf = (run: RunDetail): Record<string, string> =>
    Object.fromEntries((run.targets[0]?.steps ?? []).map(({ step, state }) => [step, state]));

  async function until<Value>(what: string, look: () => Promise<Value | undefined>): Promise<Value> {
    for (let tries = 0; tries < 600; tries += 1) {
      const found = await look();
      if (found !== undefined) return found;
      await sleep(100);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  it('are ten', () => {
    expect(examples).toHaveLength(10);
  });

  it(
    '1. one command on many hosts',
    async () => {
      const run = await go('disk-usage', { path: '/tmp' });
      expect([run.state, run.counts]).toMatchObject(['succeeded', { succeeded: 4 }]);
      const [{ outputs }] = await stack.dataSource.query<[{ outputs: { usage: { report: string } } }]>(
        `SELECT outputs FROM run_target WHERE run_id = $1 LIMIT 1`,
        [run.id],
      );
      expect(outputs.usage.report).toMatch(/%/);
    },
    PATIENCE_MS,
  );

  it(
    '2. a change in waves',
    async () => {
      expect(await hosts.findsAsRoot('systemctl')).toBe(join(hosts.folder, 'bin/systemctl'));
      await hosts.calls();
      const run = await go('rolling-restart', { service: 'nginx' });
      expect([run.state, run.targetCount]).toEqual(['succeeded', 1]);
      expect(await hosts.calls()).toEqual([
        'root: systemctl restart nginx',
        `${hosts.sshd.account.user}: systemctl is-active nginx`,
      ]);
    },
    PATIENCE_MS,
  );

  it(
    '3. look first, act where it is needed',
    async () => {
      // A machine that asks for a reboot itself must not get one.
      expect(await hosts.findsAsRoot('shutdown')).toBe(join(hosts.folder, 'bin/shutdown'));
      const isNeeded = existsSync('/var/run/reboot-required');
      const run = await go('reboot-where-needed');
      expect([run.state, run.targetCount, statesOf(run)['reboot']]).toEqual([
        'succeeded',
        3,
        isNeeded ? 'succeeded' : 'skipped',
      ]);
      expect(await hosts.calls()).toHaveLength(isNeeded ? 3 : 0);
    },
    PATIENCE_MS,
  );

  it(
    '4. put it back where it went wrong',
    async () => {
      const path = join(hosts.folder, 'app.conf');
      await rm(path, { force: true });
      const on = 'asset.name == "host-000"';
      const good = await go('replace-config', { path, content: 'good\n', check: ['grep', '-q', 'good', path] }, on);
      expect([good.state, readFileSync(path, 'utf8')]).toEqual(['succeeded', 'good\n']);
      const bad = await go('replace-config', { path, content: 'bad\n', check: ['grep', '-q', 'good', path] }, on);
      expect([bad.state, readFileSync(path, 'utf8')]).toEqual(['failed', 'good\n']);
      expect(statesOf(bad)).toMatchObject({
        check: 'failed',
        put_back: 'succeeded',
        fail: 'failed',
        tidy: 'succeeded',
      });
      expect(existsSync(`${path}.before`)).toBe(false);
    },
    PATIENCE_MS,
  );

  it('are free of errors that lint finds', () => {
    for (const source of examples) {
      const { documents } = parseDocuments(source, { file: 'guide' });
      expect(documents[0]?.document?.kind).toBe('Runbook');
      const found = lintDocuments(documents, { actions: actionContracts });
      expect(found.filter(({ level, ignored }) => level === 'error' && ignored === undefined)).toEqual([]);
    }
  });

  it(
    '5. ask before you act',
    async () => {
      const path = `/var/cache/fettle-guide-${randomBytes(4).toString('hex')}`;
      await mkdir(path);
      await writeFile(join(path, 'old'), 'x');
      try {
        const id = await start('purge-cache', { path });
        const approval = await until('an approval', async () => (await stack.run(id)).approvals?.[0]);
        await expect(call('POST', `/approvals/${approval.id}/approve`, {}, 'ada')).rejects.toThrow(/403/);
        await call('POST', `/approvals/${approval.id}/approve`, {}, 'bob');
        expect(readdirSync(path)).toEqual(['old']);
        await call('POST', `/approvals/${approval.id}/approve`, {}, 'cy');
        expect((await stack.ended(id, PATIENCE_MS)).state).toBe('succeeded');
        expect(readdirSync(path)).toEqual([]);
      } finally {
        await rm(path, { recursive: true, force: true });
      }
    },
    PATIENCE_MS,
  );

  it(
    '6. wait for the right moment',
    async () => {
      if (existsSync('/opt/app'))
        throw new Error('this machine has an /opt/app of its own, which the test would replace');
      await mkdir('/opt/app');
      try {
        await writeFile('/opt/app/deploy', `#!/bin/sh\necho "deploy $*" >> ${hosts.folder}/calls\n`, { mode: 0o755 });
        service.script('/health', (count) => ({ status: count < 3 ? 503 : 200 }));
        await hosts.calls();
        const id = await start('release-when-ready', { health: service.url('/health') });
        await until('it waits', async () => {
          const run = await stack.run(id);
          return run.controlSteps.find(({ step, state }) => step === 'released' && state === 'started');
        });
        expect(await hosts.calls()).toEqual([]);
        await call('POST', `/runs/${id}/signals/released`, { payload: { tag: 'v1.2' } }, 'ada');
        const run = await stack.ended(id, PATIENCE_MS);
        expect([run.state, run.error, run.targets[0]?.error]).toEqual(['succeeded', null, null]);
        expect(await hosts.calls()).toEqual(['deploy v1.2']);
        expect(service.calls.filter((path) => path === '/health')).toHaveLength(3);
      } finally {
        await rm('/opt/app', { recursive: true, force: true });
      }
    },
    PATIENCE_MS,
  );

  it(
    '7. once for each item',
    async () => {
      await hosts.calls();
      const run = await go('site-by-site', { sites: ['ber', 'ams'], status: service.url('/status') });
      expect([run.state, run.outputs, run.summary]).toEqual(['succeeded', { failed: [] }, '0 of 2 sites failed']);
      expect(await hosts.calls()).toEqual(Array(4).fill('root: apt-get update'));
      expect(service.calls.filter((path) => path === '/status')).toHaveLength(2);
    },
    PATIENCE_MS,
  );

  it(
    '8. beside each other, and cleaned up in any case',
    async () => {
      const inputs = { alerts: service.url('/alerts'), tickets: service.url('/tickets') };
      const run = await go('maintenance', inputs);
      expect(run.state).toBe('succeeded');
      expect(await hosts.calls()).toEqual(['postgres: vacuumdb --all --analyze']);
      expect(service.calls.filter((path) => path === '/alerts' || path === '/tickets').sort()).toEqual([
        '/alerts',
        '/alerts',
        '/tickets',
        '/tickets',
      ]);
    },
    PATIENCE_MS,
  );

  it(
    '9. one of several ways, and handlers',
    async () => {
      const { user } = hosts.sshd.account;
      const report = service.url('/report');
      expect((await go('backup', { report })).state).toBe('succeeded');
      expect(await hosts.calls()).toEqual([`${user}: restic backup /`]);
      await writeFile(join(hosts.folder, 'broken'), '');
      const failed = await go('backup', { mode: 'full', report });
      await rm(join(hosts.folder, 'broken'));
      expect(failed.state).toBe('failed');
      expect(await hosts.calls()).toEqual([`${user}: restic check`, `${user}: restic unlock`]);
    },
    PATIENCE_MS,
  );

  it(
    '10. runbooks of runbooks',
    async () => {
      const run = await go('weekly-care', { report: service.url('/weekly') });
      expect([run.state, run.outputs, run.summary]).toEqual([
        'succeeded',
        { failed: [] },
        'cared for nginx; 0 sites failed',
      ]);
      const below: { runbook: string; state: string }[] = await stack.dataSource.query(
        `SELECT runbook, state FROM run WHERE parent_run_id = $1 ORDER BY id`,
        [run.id],
      );
      expect(below).toEqual(
        ['disk-usage', 'backup', 'rolling-restart', 'site-by-site'].map((runbook) => ({ runbook, state: 'succeeded' })),
      );
    },
    PATIENCE_MS,
  );
});
