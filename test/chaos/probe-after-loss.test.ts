import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resumeRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { until } from '../support/detached.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

/** Says that it has begun, waits to be let go, and then takes effect or, where it is told to, fails once without. */
const SCRIPT = `: >"$1.begun"
n=0; while [ ! -e "$1.go" ] && [ $n -lt 400 ]; do sleep 0.1; n=$((n+1)); done
if [ -e "$1.fail" ]; then mv "$1.fail" "$1.failed"; exit 1; fi
echo done >>"$1"`;

describe('an attempt that was lost, with a probe', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let worker: WorkerProcess;

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, 1);
    const path = '${{ inputs.path }}';
    const step = (probe: readonly string[]) => ({
      id: 'work',
      uses: 'ssh.script',
      timeout: '2m',
      with: { script: SCRIPT, arguments: [path], detached: false, probe },
    });
    const inputs = { type: 'object', properties: { path: { type: 'string' } } };
    const targets = 'asset.kind == "server"';
    await stack.addRunbook('once', { inputs, targets, steps: [step(['test', '-s', path])] });
    await stack.addRunbook('useless', { inputs, targets, steps: [step(['sh', '-c', 'exit 7'])] });
    await stack.addRunbook('shy', {
      inputs,
      targets,
      steps: [step(['sh', '-c', '[ ! -e "$1.shy" ] || exit 7; test -s "$1"', 'sh', path])],
    });
    worker = await stack.startWorker();
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await stack?.close();
  }, 60_000);

  const at = (name: string): string => join(sshd.account.home, name);
  const exists = (name: string): Promise<boolean> =>
    access(at(name)).then(
      () => true,
      () => false,
    );
  const touch = (name: string): Promise<void> => writeFile(at(name), '', { mode: 0o666 });
  const effects = async (name: string): Promise<string> => readFile(at(name), 'utf8').catch(() => '');

  async function begin(runbook: string, name: string): Promise<string> {
    const { id } = await stack.start(runbook, { inputs: { path: at(name) } });
    await until('the command begins', () => exists(`${name}.begun`));
    return id;
  }

  async function replaceWorker(): Promise<void> {
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
  }

  async function epoch(runId: string): Promise<number> {
    const rows: { epoch: number }[] = await stack.dataSource.query(
      `SELECT max(epoch) AS epoch FROM lane WHERE run_id = $1`,
      [runId],
    );
    return rows[0]!.epoch;
  }

  it('is not judged while its command is at work, and not done again once that has taken effect', async () => {
    const id = await begin('once', 'slow');
    await replaceWorker();
    await until('another worker takes the lane over', async () => (await epoch(id)) > 1);
    // Long enough for a probe that is asked too early to say that nothing is there.
    await sleep(3000);
    expect((await stack.run(id)).state).toBe('running');
    await touch('slow.go');
    const run = await stack.ended(id);
    expect(run).toMatchObject({ state: 'succeeded', targets: [{ steps: [{ attempt: 1, state: 'succeeded' }] }] });
    expect(await effects('slow')).toBe('done\n');
  }, 90_000);

  it('is done again, under the next generation, where it is known that nothing happened', async () => {
    await touch('again.fail');
    const id = await begin('once', 'again');
    await worker.stop('SIGKILL');
    await touch('again.go');
    await until('the command ends without effect', () => exists('again.failed'));
    worker = await stack.startWorker();
    const run = await stack.ended(id);
    expect(run.state).toBe('succeeded');
    expect(run.targets[0]?.steps).toMatchObject([
      { attempt: 1, state: 'failed', error: { code: 'effect-absent' } },
      { attempt: 2, state: 'succeeded', error: null },
    ]);
    expect(await effects('again')).toBe('done\n');
  }, 90_000);

  it('is found out after a lost connection, too', async () => {
    const id = await begin('once', 'cut');
    await sshd.cutSessions();
    await sleep(1500);
    await touch('cut.go');
    const run = await stack.ended(id);
    expect(run).toMatchObject({ state: 'succeeded', targets: [{ steps: [{ attempt: 1, state: 'succeeded' }] }] });
    expect(await effects('cut')).toBe('done\n');
  }, 90_000);

  it('is looked for under the token that it had in the run that was taken up', async () => {
    await touch('shy.shy');
    const id = await begin('shy', 'shy');
    await worker.stop('SIGKILL');
    await touch('shy.fail');
    await touch('shy.go');
    await until('the command ends without effect', () => exists('shy.failed'));
    worker = await stack.startWorker();
    expect(await stack.ended(id)).toMatchObject({ state: 'failed', counts: { unknown: 1 } });
    await Promise.all(['shy.shy', 'shy.go', 'shy.begun'].map((name) => rm(at(name))));
    const request = { targets: 'unfinished', rerunUnknown: true, reason: 'nothing was written' } as const;
    const next = await stack.inTransaction((context) => resumeRun(context, id, request));
    await until('the command begins', () => exists('shy.begun'));
    await replaceWorker();
    await until('another worker takes the lane over', async () => (await epoch(next.id)) > 1);
    await sleep(3000);
    expect((await stack.run(next.id)).state).toBe('running');
    await touch('shy.go');
    const run = await stack.ended(next.id);
    expect(run).toMatchObject({ state: 'succeeded', targets: [{ steps: [{ attempt: 1, state: 'succeeded' }] }] });
    expect(await effects('shy')).toBe('done\n');
  }, 120_000);

  it('stays unknown where its probe cannot tell', async () => {
    const id = await begin('useless', 'useless');
    await worker.stop('SIGKILL');
    await touch('useless.go');
    await until('the effect', async () => (await effects('useless')) !== '');
    worker = await stack.startWorker();
    const run = await stack.ended(id);
    expect(run).toMatchObject({ state: 'failed', counts: { unknown: 1 } });
    expect(run.targets[0]?.steps).toMatchObject([
      { attempt: 1, state: 'unknown', error: { code: 'effect-uncertain' } },
    ]);
  }, 90_000);
});
