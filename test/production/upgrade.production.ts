import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail, RunSummary } from '@fettle/contracts';
import { ProductionLayout } from './layout.js';

/** Temporal looks every three minutes otherwise, and runs that just began would not be seen. */
const DRAINAGE = ['VisibilityGracePeriod', 'RefreshInterval']
  .map((name) => `matching.wv.VersionDrainageStatus${name}:\n  - value: 1s\n`)
  .join('');
const runbook = `
apiVersion: fettle/v1
kind: Runbook
metadata: {name: waits}
spec:
  steps:
    - {id: go, wait: {signal: go, timeout: 10m}}
    - {id: rest, wait: {duration: 100ms}}
`;

let layout: ProductionLayout;

beforeAll(async () => {
  layout = await ProductionLayout.start({ dynamicConfig: DRAINAGE });
  await call('POST', '/documents/apply', { source: runbook, file: 'waits.yaml' });
}, 300_000);
afterAll(() => layout?.stop(), 120_000);

async function answer(path: string, method = 'GET', body?: unknown): Promise<string> {
  const headers = { authorization: `Bearer ${layout.token}`, 'content-type': 'application/json' };
  const response = await fetch(`${layout.apis[0]!.url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text;
}

async function call<Body>(method: string, path: string, body?: unknown): Promise<Body> {
  return JSON.parse(await answer(`/api/v1${path}`, method, body)) as Body;
}

async function until<Found>(what: string, find: () => Promise<Found | null>): Promise<Found> {
  for (let tries = 0; tries < 900; tries += 1) {
    const found = await find();
    if (found !== null) return found;
    await sleep(100);
  }
  throw new Error(`it never came to be: ${what}`);
}

const detail = (id: string): Promise<RunDetail> => call('GET', `/runs/${id}`);

/** A run that waits for its signal. */
async function waiting(): Promise<string> {
  const { id } = await call<RunSummary>('POST', '/runs', { runbook: 'waits' });
  await until('it waits', async () => ((await detail(id)).controlSteps.length > 0 ? true : null));
  return id;
}

async function finish(id: string): Promise<RunDetail> {
  await call('POST', `/runs/${id}/signals/go`, { payload: {} });
  const run = await until('it ends', async () => {
    const found = await detail(id);
    return found.endedAt === null ? null : found;
  });
  expect({ id, state: run.state, error: run.error }).toEqual({ id, state: 'succeeded', error: null });
  return run;
}

const unservedRuns = async (): Promise<string[]> =>
  (await answer('/metrics')).split('\n').filter((line) => line.startsWith('fettle_runs_unserved{'));

describe('an upgrade in the production layout', () => {
  it('keeps runs on the build that they began on, begins new ones on the promoted one, and says when the old workers may go', async () => {
    const [current] = (await layout.deployment('status')).output.trim().split('\n');
    expect(current).toMatch(/^\d+\+[0-9a-f]{12} current$/);
    const old = current!.split(' ')[0]!;
    const before = await waiting();
    expect((await detail(before)).engineVersion).toBe(old);
    const refused = await layout.deployment('promote', 'next', '--wait', '1');
    expect(refused).toMatchObject({ exitCode: 1, output: expect.stringContaining('No worker of build next') });

    await layout.addWorker('next');
    // Workers alone change nothing.
    const between = await waiting();
    expect(await layout.deployment('promote', 'next')).toEqual({ exitCode: 0, output: 'new runs begin on next\n' });
    const after = await waiting();
    const status = (await layout.deployment('status')).output;
    expect(status.trim().split('\n').sort()).toEqual([`${old} draining`, 'next current'].sort());
    expect(await layout.deployment('drained', old)).toEqual({ exitCode: 1, output: `${old} draining\n` });

    // The old ones go away too early: what is pinned to them waits, the new one goes on, and the metric says so.
    for (const worker of layout.workers) await worker.end('SIGTERM');
    expect(await unservedRuns()).toEqual([
      `fettle_runs_unserved{engine_version="${old}",worker_build="fettle:${old}"} 2`,
    ]);
    await finish(after);
    await call('POST', `/runs/${before}/signals/go`, { payload: {} });
    await sleep(2000);
    expect((await detail(before)).endedAt).toBeNull();
    const back = await layout.addWorker(old);
    expect(await unservedRuns()).toEqual(['fettle_runs_unserved{engine_version="",worker_build=""} 0']);
    await until('it ends', async () => ((await detail(before)).endedAt === null ? null : true));
    expect((await detail(before)).state).toBe('succeeded');
    await finish(between);
    // Back, for new runs, and forth again.
    expect(await layout.deployment('promote', old)).toEqual({ exitCode: 0, output: `new runs begin on ${old}\n` });
    expect((await finish(await waiting())).engineVersion).toBe(old);
    expect(await layout.deployment('promote', 'next')).toMatchObject({ exitCode: 0 });
    await until('the old build is drained', async () => {
      const { exitCode } = await layout.deployment('drained', old);
      return exitCode === 0 ? true : null;
    });
    await back.end('SIGTERM');
    await finish(await waiting());
  }, 400_000);
});
