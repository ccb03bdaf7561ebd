import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('a run on real hosts', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 10);
    worker = await stack.startWorker();
  }, 120_000);

  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  });

  it('executes steps in order on every target, hands outputs on, skips and journals', async () => {
    await stack.addRunbook('three-steps', {
      inputs: { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] },
      targets: 'asset.kind == "server"',
      steps: [
        { id: 'say', uses: 'ssh.run', with: { argv: ['printf', '%s;%s', '${{ inputs.word }}', '${{ asset.name }}'] } },
        {
          id: 'keep',
          uses: 'ssh.script',
          with: {
            script: 'printf "%s\\n" "$1" >> "$HOME/kept-$2"',
            arguments: ['${{ steps.say.stdout }}', '${{ asset.name }}'],
          },
        },
        { id: 'never', uses: 'ssh.run', if: 'asset.labels.number == "none"', with: { argv: ['false'] } },
        { id: 'put', uses: 'file.put', with: { path: `${sshd.account.home}/put-\${{ asset.name }}`, content: 'x\n' } },
      ],
    });
    const started = await stack.start('three-steps', { inputs: { word: "a'b $(touch /tmp/oops) \n;" } });
    expect(started.state).toBe('queued');
    expect(started.targetCount).toBe(10);
    const run = await stack.ended(started.id);
    expect({ state: run.state, counts: run.counts, error: run.error }).toMatchObject({
      state: 'succeeded',
      counts: { succeeded: 10, pending: 0, running: 0 },
      error: null,
    });
    for (const target of run.targets) {
      expect(target.steps.map((step) => [step.step, step.attempt, step.state, step.exitCode])).toEqual([
        ['say', 1, 'succeeded', 0],
        ['keep', 1, 'succeeded', 0],
        ['never', 1, 'skipped', null],
        ['put', 1, 'succeeded', null],
      ]);
      const kept = await readFile(join(sshd.account.home, `kept-${target.asset}`), 'utf8');
      expect(kept).toBe(`a'b $(touch /tmp/oops) \n;;${target.asset}\n`);
      expect(await readFile(join(sshd.account.home, `put-${target.asset}`), 'utf8')).toBe('x\n');
    }
    // What recovery goes by, as it was decided when each attempt started.
    const effects: unknown[] = await stack.dataSource.query(
      `SELECT DISTINCT step, effect FROM run_step WHERE run_id = $1 ORDER BY step`,
      [run.id],
    );
    expect(effects).toEqual([
      { step: 'keep', effect: 'mutating' },
      { step: 'never', effect: 'none' },
      { step: 'put', effect: 'idempotent' },
      { step: 'say', effect: 'mutating' },
    ]);
  }, 60_000);

  it('retries what failed, goes on where the step says so, and fails the run for the rest', async () => {
    await stack.addRunbook('flaky', {
      targets: 'asset.labels.number in ["0", "1", "2"]',
      steps: [
        {
          id: 'third_time',
          uses: 'ssh.script',
          retry: { maxAttempts: 3, backoff: '1s' },
          with: {
            script: 'f="$HOME/tries-$1"; echo x >> "$f"; [ "$(wc -l < "$f")" -ge 3 ]',
            arguments: ['${{ asset.name }}'],
          },
        },
        { id: 'bad', uses: 'ssh.run', onError: 'continue', with: { argv: ['false'] } },
        { id: 'end', uses: 'ssh.run', with: { argv: ['test', '${{ asset.name }}', '!=', 'host-001'] } },
      ],
    });
    const run = await stack.ended((await stack.start('flaky')).id);
    expect(run.state).toBe('failed');
    expect(run.error?.code).toBe('targets-failed');
    const byName = new Map(run.targets.map((target) => [target.asset, target]));
    expect([...byName.values()].map((target) => target.state)).toEqual(['succeeded', 'failed', 'succeeded']);
    const steps = byName.get('host-001')!.steps.map((step) => `${step.step}/${step.attempt}=${step.state}`);
    expect(steps).toEqual([
      'third_time/1=failed',
      'third_time/2=failed',
      'third_time/3=succeeded',
      'bad/1=failed',
      'end/1=failed',
    ]);
    expect(byName.get('host-001')!.error).toMatchObject({ code: 'command-failed' });
  }, 60_000);

  it('ends commands on their hosts when the run is cancelled', async () => {
    await stack.addRunbook('long', {
      targets: 'asset.labels.number == "5"',
      steps: [{ id: 'sleep', uses: 'ssh.script', with: { script: 'echo $$ > "$HOME/pid"; sleep 300 & wait' } }],
    });
    const { id } = await stack.start('long');
    const pidFile = join(sshd.account.home, 'pid');
    let pid = '';
    for (let tries = 0; pid === '' && tries < 1000; tries += 1) {
      pid = (await readFile(pidFile, 'utf8').catch(() => '')).trim();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(() => process.kill(Number(pid), 0)).not.toThrow();
    await stack.inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
    const run = await stack.ended(id);
    expect(run.state).toBe('cancelled');
    expect(run.targets[0]).toMatchObject({ state: 'cancelled', steps: [{ step: 'sleep', state: 'cancelled' }] });
    expect(() => process.kill(Number(pid), 0)).toThrow(/ESRCH/);
  }, 60_000);

  it('waits at a cancel for what other lanes have in flight, so that nothing is called unknown', async () => {
    // More targets than one lane has slots: at the cancel the second lane has nothing to do and is gone at once.
    const count = 101;
    await stack.addHosts(sshd, count, { prefix: 'many' });
    const script = [
      '[ "$1" = many-000 ] || exit 0',
      'trap "sleep 1; exit 3" TERM',
      'echo $$ > "$HOME/stubborn"',
      'while :; do sleep 0.1; done',
    ].join('\n');
    await stack.addRunbook('two-lanes', {
      targets: 'asset.name.startsWith("many-")',
      rollout: { maxConcurrency: 200 },
      steps: [{ id: 'hold', uses: 'ssh.script', with: { script, arguments: ['${{ asset.name }}'] } }],
    });
    const { id } = await stack.start('two-lanes');
    const others = async (): Promise<number> => (await stack.run(id)).counts.succeeded;
    const isHeld = (): Promise<boolean> =>
      readFile(join(sshd.account.home, 'stubborn'), 'utf8').then(Boolean, () => false);
    for (let tries = 0; tries < 400 && !((await others()) === count - 1 && (await isHeld())); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(await others()).toBe(count - 1);
    await stack.inTransaction((context) => cancelRun(context, id, { reason: 'enough' }));
    const run = await stack.ended(id);
    expect({ state: run.state, counts: run.counts }).toMatchObject({
      state: 'cancelled',
      counts: { succeeded: count - 1, cancelled: 1, unknown: 0 },
    });
    // The run's end is its last entry: every end of a step stands before it.
    const last: { kind: string }[] = await stack.dataSource.query(
      `SELECT kind FROM entry WHERE run_id = $1 ORDER BY seq DESC LIMIT 1`,
      [id],
    );
    expect(last).toEqual([{ kind: 'run-ended' }]);
  }, 120_000);
});
