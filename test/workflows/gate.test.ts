import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { until } from '../support/detached.js';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 8;

describe('the gate between the waves of a rollout on real hosts', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;
  let service: ScriptedService;

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, HOSTS);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await service?.close();
    await sshd?.stop();
    await stack?.close();
  });

  const restart = { id: 'restart', uses: 'ssh.run', with: { argv: ['true'] } };

  async function ended(name: string, rollout: object): Promise<RunDetail> {
    await stack.addRunbook(name, {
      targets: 'asset.kind == "server"',
      rollout: { waves: [1, '50%', '100%'], ...rollout },
      steps: [restart],
    });
    return stack.ended((await stack.start(name)).id, 60_000);
  }

  const looks = (path: string): object => ({
    uses: 'http.request',
    with: { url: service.url(path) },
    condition: 'result.status == 200',
    every: '1s',
    timeout: '3s',
  });

  async function story(runId: string): Promise<string[]> {
    const rows: { kind: string; step: string | null; data: Record<string, number> }[] = await stack.dataSource.query(
      `SELECT kind, step, data FROM entry WHERE run_id = $1 AND (kind ~ '^(wave|gate)-' OR step ~ '#gate') ORDER BY seq`,
      [runId],
    );
    return rows.map(({ kind, step, data }) => `${kind} ${step ?? ''} ${String(data['wave'] ?? data['attempt'] ?? '')}`);
  }

  it('lets no wave begin after the one that made the service ill', async () => {
    // Well until the second wave is through, ill from then on.
    service.script('/health', (call) => ({ status: call === 1 ? 200 : 503 }));
    const run = await ended('ill', { gate: looks('/health') });
    expect(run).toMatchObject({
      state: 'failed',
      counts: { succeeded: 4, cancelled: 4, pending: 0, running: 0 },
      error: { code: 'gate-closed', message: expect.stringContaining('after wave 2 of 3 did not open') },
      waves: {
        items: [
          { number: 1, counts: { succeeded: 1 } },
          { number: 2, counts: { succeeded: 3 } },
          { number: 3, counts: { cancelled: 4 } },
        ],
      },
    });
    const last = run.targets.filter(({ wave }) => wave === 3);
    expect(last.map(({ error, steps }) => [error?.code, steps.length])).toEqual(last.map(() => ['gate-closed', 0]));
    const told = await story(run.id);
    expect(told.slice(0, 6)).toEqual([
      'wave-started restart 1',
      'wave-ended restart 1',
      'step-started restart#gate1 1',
      'step-ended restart#gate1 1',
      'gate-passed restart#gate1 1',
      'wave-started restart 2',
    ]);
    expect(told.filter((line) => line.startsWith('step-started restart#gate2')).length).toBeGreaterThan(1);
    expect(told.at(-1)).toBe('gate-closed restart#gate2 2');
  }, 90_000);

  it('waits until the service is well again, and goes on to the end', async () => {
    service.script('/slow', (call) => ({ status: call === 2 ? 503 : 200 }));
    const gate = { ...looks('/slow'), timeout: '1m', consecutive: 2, require: 'run.counts.failed == 0' };
    const run = await ended('recovering', { gate });
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
    // Once well, once ill, twice well in a row; and twice after the second wave.
    expect(service.calls.filter((path) => path === '/slow')).toHaveLength(6);
  }, 90_000);

  it('is only told of where it stays closed, if the runbook says so', async () => {
    service.script('/ill', () => ({ status: 503 }));
    const run = await ended('tolerant', { gate: { ...looks('/ill'), timeout: '1s', onFailure: 'continue' } });
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS }, error: null });
    const told = await story(run.id);
    expect(told.filter((line) => line.startsWith('gate-'))).toEqual([
      'gate-closed restart#gate1 1',
      'gate-closed restart#gate2 2',
    ]);
    expect(told.indexOf('gate-closed restart#gate2 2')).toBeLessThan(told.indexOf('wave-started restart 3'));
  }, 90_000);

  it('has all of it undone where it stays closed, also on hosts that came through', async () => {
    service.script('/undo', (call) => ({ status: call === 1 ? 200 : 503 }));
    const marker = (host: string, runId: string): string => `/tmp/fettle-gate-${runId}-${host}`;
    const onMarker = (command: string): object => ({
      uses: 'ssh.run',
      with: { argv: [command, marker('${{ asset.name }}', '${{ run.id }}')] },
    });
    await stack.addRunbook('all-back', {
      targets: 'asset.kind == "server"',
      rollout: { waves: [1, '50%', '100%'], gate: { ...looks('/undo'), timeout: '1s', onFailure: 'rollback' } },
      steps: [{ id: 'place', ...onMarker('mkdir'), rollback: onMarker('rmdir') }],
    });
    const run = await stack.ended((await stack.start('all-back')).id, 60_000);
    expect(run).toMatchObject({
      ...{ state: 'failed', counts: { succeeded: 4, cancelled: 4 }, error: { code: 'gate-closed' } },
      rollback: { undone: ['place'], failed: [] },
    });
    const undone = run.targets.filter((target) => target.rollback === 'undone');
    expect(undone.map(({ state, wave }) => [state, wave])).toEqual([
      ['succeeded', 1],
      ...[2, 2, 2].map((wave) => ['succeeded', wave]),
    ]);
    expect(run.targets.filter(({ asset }) => existsSync(marker(asset, run.id)))).toEqual([]);
  }, 90_000);

  it('is looked at again where the worker was lost in the middle of a look', async () => {
    let answer: () => void = () => undefined;
    const lost = new Promise<void>((resolve) => (answer = resolve));
    service.script('/lost', (call) => (call === 1 ? { status: 200, after: lost } : { status: 200 }));
    await stack.addRunbook('look-lost', {
      targets: 'asset.kind == "server"',
      rollout: { waves: ['50%', '100%'], gate: { ...looks('/lost'), timeout: '1m' } },
      steps: [restart],
    });
    const { id } = await stack.start('look-lost');
    await until('the gate is looked at', () => Promise.resolve(service.calls.includes('/lost')));
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
    const run = await stack.ended(id, 120_000);
    answer();
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
    expect(service.calls.filter((path) => path === '/lost').length).toBeGreaterThan(1);
    const told = await story(id);
    expect(told.filter((line) => line.startsWith('gate-'))).toEqual(['gate-passed restart#gate1 1']);
  }, 180_000);
});
