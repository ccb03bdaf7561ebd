import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { cancelRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 20;

interface StepRow {
  readonly host: string;
  readonly wave: number;
  readonly step: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
}

interface EntryRow {
  readonly kind: string;
  readonly step: string | null;
  readonly data: Record<string, unknown>;
}

describe('a rollout on real hosts', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, HOSTS);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  const servers = 'asset.kind == "server"';
  const first = (count: number): string => {
    const numbers = Array.from({ length: count }, (_, number) => `"${number}"`);
    return `asset.labels.number in [${numbers.join(', ')}]`;
  };
  const ssh = (id: string, ...argv: string[]): object => ({ id, uses: 'ssh.run', with: { argv } });

  async function start(name: string, spec: Record<string, unknown>): Promise<string> {
    await stack.addRunbook(name, spec);
    return (await stack.start(name)).id;
  }

  async function ended(name: string, spec: Record<string, unknown>): Promise<RunDetail> {
    return stack.ended(await start(name, spec), 60_000);
  }

  function journal(runId: string): Promise<StepRow[]> {
    return stack.dataSource.query(
      `SELECT t.asset_name AS host, t.wave, s.step, s.started_at AS "startedAt", s.ended_at AS "endedAt"
       FROM run_step s JOIN run_target t USING (run_id, asset_id) WHERE s.run_id = $1 ORDER BY s.started_at, t.asset_name`,
      [runId],
    );
  }

  function entries(runId: string, pattern: string): Promise<EntryRow[]> {
    return stack.dataSource.query(`SELECT kind, step, data FROM entry WHERE run_id = $1 AND kind ~ $2 ORDER BY seq`, [
      runId,
      pattern,
    ]);
  }

  function mostAtOnce(steps: readonly StepRow[]): number {
    const moments = steps.map((step) => step.startedAt.getTime());
    const at = (moment: number): number =>
      steps.filter((step) => step.startedAt.getTime() <= moment && moment < step.endedAt.getTime()).length;
    return Math.max(...moments.map(at));
  }

  it('goes wave by wave, and stops before the next once too many have failed', async () => {
    const run = await ended('staged', {
      targets: servers,
      rollout: { waves: [1, '50%', '100%'], maxFailures: 0 },
      steps: [ssh('check', 'test', '${{ asset.name }}', '!=', 'host-004'), ssh('change', 'true')],
    });
    expect(run).toMatchObject({
      state: 'failed',
      counts: { succeeded: 9, failed: 1, cancelled: 10, pending: 0, running: 0 },
      error: {
        code: 'failure-limit',
        message: '1 of 20 targets failed (1 failed), more than the limit of 0; 10 more went no further',
      },
      waves: {
        current: 2,
        items: [
          { number: 1, counts: { succeeded: 1 } },
          { number: 2, counts: { succeeded: 8, failed: 1 } },
          { number: 3, counts: { cancelled: 10 } },
        ],
      },
    });
    const waves = run.targets.map((target) => target.wave);
    expect(waves).toEqual([1, ...Array.from({ length: 9 }, () => 2), ...Array.from({ length: 10 }, () => 3)]);
    const undispatched = run.targets.slice(10);
    expect(undispatched.map((target) => [target.state, target.steps.length])).toEqual(
      undispatched.map(() => ['cancelled', 0]),
    );
    expect(undispatched[0]!.error).toEqual({
      code: 'failure-limit',
      message: 'Not dispatched any more: 1 of 20 targets had failed, more than the limit of 0.',
      remedy: expect.stringContaining('--on'),
    });
    const steps = await journal(run.id);
    const endOfFirst = Math.max(...steps.filter((step) => step.wave === 1).map((step) => step.endedAt.getTime()));
    const second = steps.filter((step) => step.wave === 2);
    expect(second.every((step) => step.startedAt.getTime() >= endOfFirst)).toBe(true);
    expect(await entries(run.id, '^(wave|rollout|run)-')).toEqual([
      expect.objectContaining({ kind: 'run-queued' }),
      expect.objectContaining({ kind: 'run-started' }),
      { kind: 'wave-started', step: 'check', data: { wave: 1, of: 3, targets: 1 } },
      {
        kind: 'wave-ended',
        step: 'check',
        data: { wave: 1, of: 3, counts: expect.objectContaining({ succeeded: 1 }) },
      },
      { kind: 'wave-started', step: 'check', data: { wave: 2, of: 3, targets: 9 } },
      { kind: 'rollout-stopped', step: null, data: { wave: 2, failures: 1, maxFailures: 0, undispatched: 10 } },
      { kind: 'wave-ended', step: 'check', data: { wave: 2, of: 3, counts: expect.objectContaining({ failed: 1 }) } },
      expect.objectContaining({ kind: 'run-ended' }),
    ]);
  }, 90_000);

  it('stops in mid-wave, lets those that it has begun with finish, and goes by the order that was asked for', async () => {
    const run = await ended('backwards', {
      targets: servers,
      // The last host by number is dispatched first, and fails while the one beside it is still in its first step.
      rollout: { maxConcurrency: 2, maxFailures: '4%', orderBy: '-int(asset.labels.number)' },
      steps: [
        ssh('look', 'sh', '-c', 'case "$0" in host-019) exit 3;; host-018) sleep 2;; esac', '${{ asset.name }}'),
        ssh('change', 'true'),
      ],
    });
    expect(run).toMatchObject({
      state: 'failed',
      error: { code: 'failure-limit' },
      counts: { failed: 1, succeeded: 1, cancelled: 18 },
    });
    expect(run).not.toHaveProperty('waves');
    expect(run.targets[0]).not.toHaveProperty('wave');
    expect((await journal(run.id)).map(({ host, step }) => `${host}/${step}`).sort()).toEqual([
      'host-018/change',
      'host-018/look',
      'host-019/look',
    ]);
  }, 90_000);

  it('does not come to later segments once too many have failed, and says so at each target', async () => {
    const run = await ended('two-segments', {
      targets: first(4),
      rollout: { waves: [1, '100%'], maxFailures: 0 },
      steps: [
        ssh('check', 'test', '${{ asset.name }}', '!=', 'host-003'),
        { id: 'tell', uses: 'http.request', with: { url: 'http://127.0.0.1:9/' } },
        ssh('change', 'true'),
      ],
    });
    expect(run).toMatchObject({
      error: { code: 'failure-limit' },
      counts: { failed: 1, cancelled: 3 },
      controlSteps: [],
    });
    expect(run.targets.slice(0, 3).map((target) => [target.state, target.error?.code])).toEqual([
      ['cancelled', 'failure-limit'],
      ['cancelled', 'failure-limit'],
      ['cancelled', 'failure-limit'],
    ]);
  }, 90_000);

  it.each(['linear', 'free'])(
    'strategy %s: a slow host holds up the others, or does not',
    async (strategy) => {
      const run = await ended(`slow-${strategy}`, {
        targets: first(5),
        rollout: { strategy },
        steps: [
          ssh('one', 'sh', '-c', '[ "$0" != host-002 ] || sleep 3', '${{ asset.name }}'),
          ssh('two', 'true'),
          ssh('three', 'true'),
        ],
      });
      expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 5 } });
      const steps = await journal(run.id);
      expect(steps).toHaveLength(15);
      const slow = steps.find((step) => step.host === 'host-002' && step.step === 'one')!;
      const others = steps.filter((step) => step.host !== 'host-002' && step.step !== 'one');
      const before = others.filter((step) => step.endedAt.getTime() < slow.endedAt.getTime());
      const after = others.filter((step) => step.startedAt.getTime() >= slow.endedAt.getTime());
      expect([before.length, after.length]).toEqual(strategy === 'free' ? [8, 0] : [0, 8]);
      // Each host does its steps in their order.
      for (const target of run.targets)
        expect(steps.filter((step) => step.host === target.asset).map((step) => step.step)).toEqual([
          'one',
          'two',
          'three',
        ]);
    },
    90_000,
  );

  it('free with few places: a host that has begun is done before others begin', async () => {
    const run = await ended('few-places', {
      targets: first(6),
      rollout: { strategy: 'free', maxConcurrency: 1, orderBy: 'asset.name' },
      steps: [ssh('one', 'true'), ssh('two', 'true')],
    });
    expect((await journal(run.id)).map(({ host, step }) => `${host}/${step}`)).toEqual(
      run.targets.flatMap(({ asset }) => [`${asset}/one`, `${asset}/two`]),
    );
  }, 90_000);

  it('strict: those in flight count as failed, those that are tried again, too', async () => {
    const strict = { maxFailures: 2, strict: true };
    const run = await ended('strict', {
      targets: servers,
      rollout: strict,
      steps: [ssh('wait', 'sleep', '0.1'), ssh('more', 'true')],
    });
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
    expect(mostAtOnce(await journal(run.id))).toBe(3);

    const again = await ended('strict-again', {
      targets: servers,
      rollout: strict,
      steps: [{ ...ssh('never', 'false'), retry: { maxAttempts: 2, backoff: '1s' } }],
    });
    // All of them fail: as many as are borne, and the one that shows it.
    expect(again).toMatchObject({
      state: 'failed',
      error: { code: 'failure-limit' },
      counts: { failed: 3, cancelled: 17 },
    });
    expect(again.targets.filter((target) => target.steps.length > 0).map((target) => target.steps.length)).toEqual([
      2, 2, 2,
    ]);
  }, 120_000);

  it('soaks between waves, and a cancel ends the wait', async () => {
    const spec = { targets: first(4), steps: [ssh('do', 'true')] };
    const run = await ended('soaking', { ...spec, rollout: { waves: [1, '50%', '100%'], soak: '1500ms' } });
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } });
    const steps = await journal(run.id);
    expect(steps.map((step) => step.wave)).toEqual([1, 2, 3, 3]);
    for (const [index, step] of steps.slice(1, 3).entries()) {
      expect(step.startedAt.getTime() - steps[index]!.endedAt.getTime()).toBeGreaterThanOrEqual(1500);
    }
    expect((await entries(run.id, '^wave-ended')).map(({ data }) => data.soakMs)).toEqual([1500, 1500, undefined]);

    const id = await start('soaking-long', { ...spec, rollout: { waves: [1, '100%'], soak: '10m' } });
    for (let tries = 0; (await entries(id, '^wave-ended')).length === 0 && tries < 1000; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    await stack.inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
    const cancelled = await stack.ended(id);
    expect(cancelled).toMatchObject({ state: 'cancelled', counts: { succeeded: 1, cancelled: 3 } });

    const late = await ended('soaking-late', { ...spec, timeout: '4s', rollout: { waves: [1, '100%'], soak: '10m' } });
    expect(late).toMatchObject({ state: 'timed-out', error: { code: 'run-timed-out' } });
  }, 120_000);

  it('leaves the entries of a run without these keys as they were', async () => {
    const run = await ended('plain', { targets: first(1), steps: [ssh('do', 'true')] });
    expect((await entries(run.id, '')).map((entry) => entry.kind)).toEqual([
      'run-queued',
      'run-started',
      'step-started',
      'step-ended',
      'target-ended',
      'run-ended',
    ]);
  }, 60_000);
});
