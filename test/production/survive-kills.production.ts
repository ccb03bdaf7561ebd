import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail, RunSummary } from '@fettle/contracts';
import { startSshd, type Sshd } from '../support/sshd.js';
import { ProductionLayout } from './layout.js';

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../../apps/cli/bin/fettle.mjs', import.meta.url));
const HOSTS = 20;
const STEPS = ['first', 'second', 'third'] as const;

/** Each step appends one line to a file of its host: the effect that must not happen twice. */
const runbook = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: append-line}
spec:
  targets: asset.kind == "server"
  steps:
${STEPS.map(
  (id) => `    - id: ${id}
      uses: ssh.script
      with:
        script: 'sleep 0.5; echo "$1" >> "$HOME/effects-$2"; sleep 0.5'
        arguments: ["\${{ run.id }}/${id}", "\${{ asset.name }}"]`,
).join('\n')}
`;

let layout: ProductionLayout;
let sshd: Sshd;

beforeAll(async () => {
  // One after the other: where one fails, the other must not be left behind.
  sshd = await startSshd();
  layout = await ProductionLayout.start();
}, 300_000);
afterAll(async () => {
  await layout?.stop();
  await sshd?.stop();
}, 120_000);

/** Asks the n-th API; throws where it does not answer with success. */
async function call<Body>(api: number, method: string, path: string, body?: unknown): Promise<Body> {
  const headers: Record<string, string> = { authorization: `Bearer ${layout.token}` };
  const isLines = typeof body === 'string';
  if (body !== undefined) headers['content-type'] = isLines ? 'application/x-ndjson' : 'application/json';
  const response = await fetch(`${layout.apis[api]!.url}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: isLines ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Body;
}

async function addHosts(): Promise<void> {
  await call(0, 'PUT', '/credentials/hosts', {
    kind: 'ssh-private-key',
    username: sshd.account.user,
    value: sshd.account.privateKey,
  });
  // Without its comment.
  const hostKey = (await sshd.hostKeys())[0]!.split(' ').slice(0, 2).join(' ');
  const rows = Array.from({ length: HOSTS }, (_, host) => ({
    line: host + 1,
    name: `host-${String(host).padStart(2, '0')}`,
    kind: 'server',
    address: sshd.address(host),
    port: sshd.port,
    credential: 'hosts',
    hostKey,
  }));
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  expect(await call(0, 'POST', '/assets/import', lines)).toMatchObject({ created: HOSTS });
}

/** Waits until so many steps of the run have ended and others are in flight; tells those in flight as `asset/step`. */
async function midway(api: number, runId: string, endedSteps: number): Promise<Set<string>> {
  for (let tries = 0; tries < 600; tries += 1) {
    const { targets } = await call<RunDetail>(api, 'GET', `/runs/${runId}`);
    const steps = targets.flatMap((target) =>
      target.steps.map((step) => ({ key: `${target.asset}/${step.step}`, step })),
    );
    const inFlight = steps.filter(({ step }) => step.state === 'started').map(({ key }) => key);
    if (steps.length - inFlight.length >= endedSteps && inFlight.length > 0) return new Set(inFlight);
    await sleep(50);
  }
  throw new Error(`run ${runId} did not get under way`);
}

async function ended(api: number, runId: string): Promise<RunDetail> {
  for (let tries = 0; tries < 900; tries += 1) {
    const detail = await call<RunDetail>(api, 'GET', `/runs/${runId}`);
    if (detail.endedAt !== null) return detail;
    await sleep(100);
  }
  throw new Error(`run ${runId} does not end`);
}

/** How often each `asset/step` of the run took effect. */
async function effectsOf(runId: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const file of await readdir(sshd.account.home)) {
    if (!file.startsWith('effects-')) continue;
    for (const line of (await readFile(join(sshd.account.home, file), 'utf8')).split('\n')) {
      if (!line.startsWith(`${runId}/`)) continue;
      const key = `${file.slice('effects-'.length)}/${line.slice(runId.length + 1)}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

/** Each effect once; where it is `unknown`, at most once, and only where it was in flight at the kill. */
function checkEffects(detail: RunDetail, effects: ReadonlyMap<string, number>, uncertain: ReadonlySet<string>): number {
  let unknowns = 0;
  for (const target of detail.targets) {
    for (const step of target.steps) {
      const key = `${target.asset}/${step.step}`;
      const count = effects.get(key) ?? 0;
      if (step.state === 'unknown') {
        unknowns += 1;
        expect([...uncertain]).toContain(key);
        expect({ key, count }).toEqual({ key, count: Math.min(count, 1) });
      } else {
        expect({ key, state: step.state, attempt: step.attempt, count }).toEqual({
          key,
          state: 'succeeded',
          attempt: 1,
          count: 1,
        });
      }
    }
    if (target.state !== 'unknown')
      expect(target).toMatchObject({ state: 'succeeded', steps: { length: STEPS.length } });
  }
  return unknowns;
}

describe('the production layout', () => {
  it('is up: both APIs answer for one database, both workers listen', async () => {
    for (const api of layout.apis.keys()) {
      expect(await call(api, 'GET', '/whoami')).toMatchObject({ name: 'local-admin' });
    }
    expect(await layout.workerHealth()).toBe(0);
  });

  it('runs across 20 hosts while nobody is killed', async () => {
    await addHosts();
    await call(0, 'POST', '/documents/apply', { source: runbook, file: 'append-line.yaml' });
    const { id } = await call<RunSummary>(0, 'POST', '/runs', { runbook: 'append-line' });
    // Accepted by one API, read from the other.
    const detail = await ended(1, id);
    expect(detail).toMatchObject({ state: 'succeeded', targets: { length: HOSTS } });
    expect(checkEffects(detail, await effectsOf(id), new Set())).toBe(0);
  }, 180_000);

  it('ends a run during which one API and one worker are killed; each effect happened once or is unknown', async () => {
    const [api1, api2] = layout.apis;
    const started = await Promise.all(
      Array.from({ length: 2 }, () => call<RunSummary>(0, 'POST', '/runs', { runbook: 'append-line' })),
    );
    const uncertain = await midway(1, started[0]!.id, HOSTS);
    const victim = await layout.workerOf(started[0]!.id);
    const survivor = layout.workers.find((worker) => worker !== victim)!;
    await Promise.all([api1!.program.end('SIGKILL'), victim.end('SIGKILL')]);
    // What was in flight when the processes were gone: asked again, for the first answer is older than the kill.
    for (const { id } of started) for (const key of await inFlightNow(id)) uncertain.add(key);
    expect(api1!.program.isRunning || victim.isRunning).toBe(false);
    expect(api2!.program.isRunning && survivor.isRunning).toBe(true);
    for (const { id } of started) {
      const detail = await ended(1, id);
      // Commands that the dead worker left on the hosts finish by themselves.
      await sleep(1500);
      const unknowns = checkEffects(detail, await effectsOf(id), uncertain);
      expect(detail.state).toBe(unknowns > 0 ? 'failed' : 'succeeded');
      process.stderr.write(
        `run ${id}: ${detail.state}, ${unknowns} steps unknown, counts ${JSON.stringify(detail.counts)}\n`,
      );
    }
    process.stderr.write(`${uncertain.size} steps were in flight at the kill\n`);
    expect(uncertain.size).toBeGreaterThan(0);
  }, 300_000);

  it('goes on with one API and one worker', async () => {
    const { id } = await call<RunSummary>(1, 'POST', '/runs', { runbook: 'append-line' });
    expect(await ended(1, id)).toMatchObject({ state: 'succeeded' });
    expect(await layout.workerHealth()).toBe(0);
  }, 180_000);

  it('has an audit log that verifies against the checkpoints outside the database', async () => {
    const env = { PATH: process.env.PATH, FETTLE_URL: layout.apis[1]!.url, FETTLE_TOKEN: layout.token };
    const args = [cli, 'audit', 'verify', '--checkpoints', layout.checkpoints, '-o', 'json'];
    // The sealer needs up to a second for what was written last.
    await sleep(2000);
    const { stdout } = await run(process.execPath, args, { env });
    const report = JSON.parse(stdout) as { ok: boolean; size: number; provenSize: number; unsealedCount: number };
    expect(report).toMatchObject({ ok: true, unsealedCount: 0 });
    expect(report.size).toBeGreaterThan(5);
    expect(report.provenSize).toBe(report.size);
  }, 60_000);
});

async function inFlightNow(runId: string): Promise<string[]> {
  const { targets } = await call<RunDetail>(1, 'GET', `/runs/${runId}`);
  return targets.flatMap((target) =>
    target.steps.filter((step) => step.state === 'started').map((step) => `${target.asset}/${step.step}`),
  );
}
