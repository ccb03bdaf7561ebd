import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { cancelRun, resumeRun } from '@fettle/operations';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

describe('undo of called runs by the run that called them', () => {
  let stack: TestStack;
  let sshd: Sshd;
  let service: ScriptedService;
  let worker: WorkerProcess;
  const targets = 'asset.kind == "server"';

  beforeAll(async () => {
    [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
    await stack.addHosts(sshd, 2);
    worker = await stack.startWorker();
  }, 120_000);
  afterAll(async () => {
    await worker?.stop();
    await sshd?.stop();
    await service?.close();
    await stack?.close();
  });

  const home = (name: string): string => join(sshd.account.home, name);
  const linesOf = async (log: string): Promise<string[]> =>
    (await readFile(home(log), 'utf8').catch(() => '')).split('\n').filter(Boolean);
  /** Writes a line; fails on the host of which there is a file `break-LOG-WORD-HOST`. */
  const mark = (log: string, word: string) => ({
    uses: 'ssh.script',
    with: {
      script: 'echo "$1 $2" >> "$HOME/$3"; [ ! -e "$HOME/break-$3-$1-$2" ]',
      arguments: [word, '${{ asset.name }}', log],
    },
    timeout: '20s',
  });
  const place = (log: string, word: string) => ({
    id: word,
    ...mark(log, word),
    rollback: { ...mark(log, `${word}-back`), retry: { maxAttempts: 1 } },
  });
  const post = (log: string, id: string) => ({
    id,
    uses: 'http.request',
    with: { method: 'POST', url: service.url(`/${log}-${id}`) },
    rollback: {
      uses: 'http.request',
      with: { method: 'POST', url: service.url(`/${log}-${id}-back`) },
      retry: { maxAttempts: 1 },
    },
  });
  const call = (runbook: string, more: object = {}) => ({ id: 'go', call: { runbook, ...more } });
  const fails = (log: string) => ({
    id: 'fails',
    uses: 'http.request',
    with: { url: service.url(`/${log}-fails`) },
    retry: { maxAttempts: 1 },
  });
  const callsOf = (log: string): string[] =>
    service.calls.filter((path) => path.startsWith(`/${log}-`)).map((path) => path.slice(log.length + 2));

  async function called(runId: string): Promise<RunDetail> {
    const rows: { id: string }[] = await stack.dataSource.query(
      `SELECT id FROM run WHERE parent_run_id = $1 ORDER BY id DESC LIMIT 1`,
      [runId],
    );
    return stack.run(rows[0]!.id);
  }
  async function kindsOf(runId: string): Promise<string[]> {
    const rows: { line: string }[] = await stack.dataSource.query(
      `SELECT kind || coalesce(' ' || step, '') || coalesce(' ' || (data->>'state'), '') AS line FROM entry
       WHERE run_id = $1 AND (kind LIKE '%undo%' OR kind LIKE '%undone%') AND asset_id IS NULL ORDER BY seq`,
      [runId],
    );
    return rows.map(({ line }) => line);
  }
  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 400; tries += 1) {
      if (await holds()) return;
      await sleep(50);
    }
    throw new Error(`it never came to be: ${what}`);
  }

  it('goes down to the last one, in reverse order, once, and is made again when the run is taken up', async () => {
    const log = 'nested';
    let isBroken = true;
    service.script(`/${log}-fails`, () => ({ status: isBroken ? 500 : 200 }));
    await stack.addRunbook('leaf', { targets, steps: [post(log, 'leaf')] });
    await stack.addRunbook('middle', { targets, steps: [place(log, 'one'), call('leaf'), post(log, 'middle')] });
    await stack.addRunbook('top', { targets, steps: [post(log, 'top'), call('middle'), fails(log)] });
    const run = await stack.ended((await stack.start('top')).id);
    expect(run).toMatchObject({ state: 'failed', rollback: { undone: ['go', 'top'], failed: [] } });
    expect(callsOf(log)).toEqual(['top', 'leaf', 'middle', 'fails', 'middle-back', 'leaf-back', 'top-back']);
    const hosts = ['host-000', 'host-001'];
    const lines = await linesOf(log);
    expect(lines.slice(0, 2).sort()).toEqual(hosts.map((host) => `one ${host}`));
    expect(lines.slice(2).sort()).toEqual(hosts.map((host) => `one-back ${host}`));
    const middle = await called(run.id);
    expect(middle).toMatchObject({ state: 'succeeded', rollback: { undone: ['middle', 'go', 'one'], failed: [] } });
    expect(middle.targets.map(({ rollback }) => rollback)).toEqual(['undone', 'undone']);
    expect(await kindsOf(run.id)).toEqual([
      'undo-started go',
      'undo-ended go succeeded',
      'undo-started top',
      'undo-ended top succeeded',
    ]);
    expect(await kindsOf(middle.id)).toEqual([
      'undo-requested',
      'undo-started middle',
      'undo-ended middle succeeded',
      'undo-started go',
      'undo-ended go succeeded',
      'run-undone',
    ]);
    isBroken = false;
    const again = await stack.inTransaction((context) =>
      resumeRun(context, run.id, { targets: 'unfinished', rerunUnknown: false }),
    );
    expect(await stack.ended(again.id)).toMatchObject({ state: 'succeeded' });
    expect(callsOf(log).slice(7)).toEqual(['top', 'leaf', 'middle', 'fails']);
    expect((await linesOf(log)).slice(4).sort()).toEqual(hosts.map((host) => `one ${host}`));
    expect(await called(again.id)).toMatchObject({ state: 'succeeded' });
  }, 120_000);

  it('leaves alone what a called run has undone itself, and undoes what that left', async () => {
    const log = 'half';
    const break_ = home(`break-${log}-two-host-001`);
    await writeFile(break_, '');
    await stack.addRunbook('half', { targets, steps: [post(log, 'first'), place(log, 'one'), place(log, 'two')] });
    await stack.addRunbook('tries', { steps: [call('half')] });
    service.script(`/${log}-fails`, () => ({ status: 500 }));
    const run = await stack.ended((await stack.start('tries')).id);
    await rm(break_);
    expect(run.state).toBe('failed');
    const half = await called(run.id);
    expect(half.targets.map(({ state, rollback }) => [state, rollback])).toEqual([
      ['succeeded', 'undone'],
      ['failed', 'undone'],
    ]);
    const backs = (await linesOf(log)).filter((line) => line.includes('back'));
    expect(backs.filter((line) => line.endsWith('host-001'))).toEqual(['two-back host-001', 'one-back host-001']);
    expect(backs.filter((line) => line.endsWith('host-000'))).toEqual(['two-back host-000', 'one-back host-000']);
    expect(callsOf(log)).toEqual(['first', 'first-back']);
  }, 60_000);

  it('is only on the targets that failed, where the run went its way to the end', async () => {
    const log = 'inherit';
    await stack.addRunbook('prepare', { targets, steps: [post(log, 'told'), place(log, 'prepared')] });
    const other = { id: 'own', call: { runbook: 'prepare' } };
    await stack.addRunbook('changes', {
      targets,
      steps: [other, call('prepare', { targets: 'inherit' }), { id: 'change', ...mark(log, 'change') }],
    });
    const break_ = home(`break-${log}-change-host-001`);
    await writeFile(break_, '');
    const run = await stack.ended((await stack.start('changes')).id);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'targets-failed' }, rollback: { undone: ['go'] } });
    const back = async (): Promise<string[]> => (await linesOf(log)).filter((line) => line.includes('back'));
    expect(await back()).toEqual(['prepared-back host-001']);
    expect(callsOf(log)).toEqual(['told', 'told']);
    await rm(break_);
    const again = await stack.inTransaction((context) =>
      resumeRun(context, run.id, { targets: 'unfinished', rerunUnknown: false }),
    );
    expect(await stack.ended(again.id)).toMatchObject({ state: 'succeeded' });
    // Only what was undone is made again: on that target, and nothing of the run itself.
    expect((await linesOf(log)).slice(-2)).toEqual(['prepared host-001', 'change host-001']);
    expect(callsOf(log)).toEqual(['told', 'told']);
  }, 90_000);

  it('says what of a called run could not be undone, in both runs', async () => {
    const log = 'cannot';
    await stack.addRunbook('stubborn', { targets, steps: [post(log, 'first'), place(log, 'one')] });
    await stack.addRunbook('gives-up', { steps: [call('stubborn'), fails(log)] });
    service.script(`/${log}-fails`, () => ({ status: 500 }));
    const break_ = home(`break-${log}-one-back-host-000`);
    await writeFile(break_, '');
    const run = await stack.ended((await stack.start('gives-up')).id);
    await rm(break_);
    expect(run).toMatchObject({ state: 'failed', rollback: { undone: [], failed: ['go'] } });
    const stubborn = await called(run.id);
    expect(stubborn).toMatchObject({ state: 'succeeded', rollback: { undone: ['first'], failed: ['one'] } });
    expect(stubborn.targets.map(({ rollback }) => rollback)).toEqual(['incomplete', 'undone']);
    expect(callsOf(log)).toEqual(['first', 'fails', 'first-back']);
  }, 60_000);

  it('says of a called run that kept no list that it may have ended before there were such', async () => {
    const log = 'early';
    await stack.addRunbook('early', { targets, steps: [place(log, 'one')] });
    const pause = { id: 'pause', wait: { duration: '3s' } };
    await stack.addRunbook('calls-early', { steps: [call('early'), pause, fails(log)] });
    service.script(`/${log}-fails`, () => ({ status: 500 }));
    const { id } = await stack.start('calls-early');
    await until('it has ended', async () => {
      const rows: unknown[] = await stack.dataSource.query(
        `UPDATE run SET undo = NULL WHERE parent_run_id = $1 AND ended_at IS NOT NULL RETURNING id`,
        [id],
      );
      return (rows[0] as unknown[]).length === 1;
    });
    const run = await stack.ended(id);
    expect(run).toMatchObject({ state: 'failed', rollback: { undone: [], failed: ['go'] } });
    const rows: { error: { code: string; message: string } }[] = await stack.dataSource.query(
      `SELECT error FROM run_step WHERE run_id = $1 AND step = 'go' AND phase = 'undo'`,
      [id],
    );
    expect(rows.map(({ error }) => [error.code, /ended under a version of Fettle/.test(error.message)])).toEqual([
      ['undo-unknown', true],
    ]);
  }, 60_000);

  it('goes on when the worker was killed, and is stopped by no cancel', async () => {
    const log = 'killed';
    const undo = { uses: 'ssh.script', with: { ...mark(log, 'one-back').with, effect: 'idempotent' } };
    const held = {
      ...undo,
      with: { ...undo.with, script: `${undo.with.script}; while [ -e "$HOME/hold-$3" ]; do sleep 0.1; done` },
    };
    await stack.addRunbook('slow', {
      targets,
      steps: [post(log, 'first'), { id: 'one', ...mark(log, 'one'), rollback: held }],
    });
    await stack.addRunbook('calls-slow', { steps: [call('slow'), fails(log)] });
    service.script(`/${log}-fails`, () => ({ status: 500 }));
    await writeFile(home(`hold-${log}`), '');
    const { id } = await stack.start('calls-slow');
    await until(
      'both are being undone',
      async () => (await linesOf(log)).filter((l) => l.includes('back')).length === 2,
    );
    await worker.stop('SIGKILL');
    await stack.inTransaction((context) => cancelRun(context, id, {}));
    worker = await stack.startWorker();
    await rm(home(`hold-${log}`));
    const run = await stack.ended(id, 90_000);
    expect(run.rollback).toEqual({ undone: ['go'], failed: [] });
    expect((await called(id)).rollback).toEqual({ undone: ['one', 'first'], failed: [] });
    expect(callsOf(log)).toEqual(['first', 'fails', 'first-back']);
  }, 150_000);

  it('leaves what a called run did on a target of which nobody knows what came after', async () => {
    const log = 'unknown';
    const hold = home(`hold-${log}`);
    await writeFile(hold, '');
    const swap = {
      uses: 'ssh.script',
      with: { script: 'echo swap >> "$HOME/$1"; while [ -e "$HOME/hold-$1" ]; do sleep 0.1; done', arguments: [log] },
    };
    await stack.addRunbook('base', { targets, steps: [place(log, 'one')] });
    await stack.addRunbook('swaps', {
      targets,
      steps: [
        call('base', { targets: 'inherit' }),
        place(log, 'two'),
        fails(log),
        { id: 'swap', ...swap, timeout: '20s' },
      ],
    });
    service.script(`/${log}-fails`, () => ({ status: 200 }));
    const { id } = await stack.start('swaps');
    await until('both swap', async () => (await linesOf(log)).filter((line) => line === 'swap').length === 2);
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
    const run = await stack.ended(id, 90_000);
    await rm(hold);
    expect(run.targets.map(({ state, rollback }) => [state, rollback])).toEqual([
      ['unknown', 'incomplete'],
      ['unknown', 'incomplete'],
    ]);
    expect(run.rollback).toEqual({ undone: [], failed: ['two', 'go'] });
    expect((await called(id)).targets.map(({ rollback }) => rollback)).toEqual(['incomplete', 'incomplete']);
    expect((await linesOf(log)).filter((line) => line.includes('back'))).toEqual([]);
  }, 120_000);
});
