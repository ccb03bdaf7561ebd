import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ResumeRunRequest, RunDetail } from '@fettle/contracts';
import { diffRuns, readRunAt, resolveRun, resumeRun, retryRun } from '@fettle/operations';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let service: ScriptedService;
let worker: WorkerProcess;

beforeAll(async () => {
  [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
  await stack.addHosts(sshd, 3);
  worker = await stack.startWorker();
}, 120_000);
afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await service?.close();
  await stack?.close();
});

const home = (name: string): string => join(sshd.account.home, name);
const linesOf = async (name: string): Promise<string[]> =>
  (await readFile(home(name), 'utf8').catch(() => '')).split('\n').filter(Boolean).sort();
const plain = { targets: 'unfinished', rerunUnknown: false } as const;

function resume(id: string, request: Partial<ResumeRunRequest> = {}): Promise<{ id: string }> {
  return stack.inTransaction((context) => resumeRun(context, id, { ...plain, ...request }));
}

const callsOf = (path: string): number => service.calls.filter((one) => one === `/${path}`).length;
const stepsOf = (run: RunDetail, asset: string): string[] =>
  (run.targets.find((target) => target.asset === asset)?.steps ?? []).map(
    (step) => `${step.step}/${step.attempt}=${step.state}${step.carriedFrom === undefined ? '' : ' (carried)'}`,
  );

/** Appends the name of the step and host to a file; fails on a host as long as a file of that name is there. */
const mark = (id: string, extra: object = {}): Record<string, unknown> => ({
  id,
  uses: 'ssh.script',
  with: {
    script: 'echo "$1 $2" >> "$HOME/$3"; [ ! -e "$HOME/break-$3-$1-$2" ] || exit 7; echo "out-$1"',
    arguments: [id, '${{ asset.name }}', '${{ inputs.log }}'],
  },
  ...extra,
});
const inputs = { type: 'object', properties: { log: { type: 'string' } }, required: ['log'] };
const call = (id: string, path: string, extra: object = {}): Record<string, unknown> => ({
  id,
  uses: 'http.request',
  with: { method: 'POST', url: service.url(`/${path}`) },
  ...extra,
});

describe('a run that is taken up', () => {
  it('does again what failed and what comes after it, and nothing else', async () => {
    await stack.addRunbook('two-parts', {
      inputs,
      targets: 'asset.labels.group == "host"',
      steps: [
        call('announce', 'announce'),
        mark('one'),
        mark('two'),
        call('between', 'between'),
        mark('three', {
          with: {
            script: 'echo "three $1 $2" >> "$HOME/$3"',
            arguments: ['${{ asset.name }}', '${{ steps.one.stdout }}', '${{ inputs.log }}'],
          },
        }),
      ],
    });
    await writeFile(home('break-first-two-host-001'), '');
    const first = await stack.ended((await stack.start('two-parts', { inputs: { log: 'first' } })).id);
    expect([first.state, first.counts.failed, first.counts.succeeded]).toEqual(['failed', 1, 2]);
    await rm(home('break-first-two-host-001'));
    const resumed = await stack.ended((await resume(first.id)).id);
    expect({ state: resumed.state, counts: resumed.counts, error: resumed.error }).toMatchObject({
      state: 'succeeded',
      counts: { succeeded: 3 },
      error: null,
    });
    expect(stepsOf(resumed, 'host-001')).toEqual(['one/1=succeeded (carried)', 'two/1=succeeded', 'three/1=succeeded']);
    expect(stepsOf(resumed, 'host-000')).toEqual([
      'one/1=succeeded (carried)',
      'two/1=succeeded (carried)',
      'three/1=succeeded (carried)',
    ]);
    const lines = await linesOf('first');
    expect(lines.filter((line) => line.startsWith('one'))).toHaveLength(3);
    expect(lines.filter((line) => line.startsWith('two'))).toHaveLength(4);
    // It read the output that the first run had.
    expect(lines.filter((line) => line.startsWith('three host-001'))).toEqual(['three host-001 out-one']);
    expect([callsOf('announce'), callsOf('between')]).toEqual([1, 1]);
    expect(resumed.continues).toEqual({ runId: first.id, how: 'resume' });
    expect((await stack.run(first.id)).continuedBy).toEqual([{ runId: resumed.id, how: 'resume', state: 'succeeded' }]);
    await expect(resume(first.id)).rejects.toMatchObject({ code: 'already-resumed' });
    await expect(resume(resumed.id)).rejects.toMatchObject({ code: 'nothing-to-resume' });
    const audited: { count: number }[] = await stack.dataSource.query(
      `SELECT count(*) AS count FROM audit_record WHERE action = 'run.resume'`,
    );
    expect(Number(audited[0]?.count)).toBe(1);
    const diff = await stack.inTransaction(({ transaction }) => diffRuns(transaction, first.id, resumed.id));
    expect(diff.targets.changed).toEqual([{ asset: 'host-001', a: 'failed', b: 'succeeded' }]);
    expect(diff.runbook).toEqual([]);
    expect(diff.steps.find(({ step }) => step === 'two')).toMatchObject({
      isSame: false,
      a: { states: { failed: 1 } },
    });
  }, 90_000);

  it('makes a run again on the targets that did not come through, or on all', async () => {
    await stack.addRunbook('again', { inputs, targets: 'asset.labels.group == "host"', steps: [mark('a'), mark('b')] });
    await writeFile(home('break-again-b-host-002'), '');
    const first = await stack.ended((await stack.start('again', { inputs: { log: 'again' } })).id);
    expect(first.counts).toMatchObject({ succeeded: 2, failed: 1 });
    const retry = (targets: 'unfinished' | 'unknown' | 'all'): Promise<{ id: string }> =>
      stack.inTransaction((context) => retryRun(context, first.id, { targets, rerunUnknown: false }));
    const second = await stack.ended((await retry('unfinished')).id);
    expect(second.targets.map((target) => [target.asset, target.state])).toEqual([['host-002', 'failed']]);
    expect(stepsOf(second, 'host-002')).toEqual(['a/1=succeeded', 'b/1=failed']);
    await rm(home('break-again-b-host-002'));
    const all = await stack.ended((await retry('all')).id);
    expect([all.state, all.counts.succeeded, all.continues]).toEqual([
      'succeeded',
      3,
      { runId: first.id, how: 'retry' },
    ]);
    await expect(retry('unknown')).rejects.toMatchObject({ code: 'no-targets' });
    expect((await linesOf('again')).filter((line) => line.startsWith('a '))).toHaveLength(7);
  }, 90_000);

  it('asks a person about what nobody knows, and goes by the answer', async () => {
    const script = 'echo "$1" >> "$HOME/unsure"; [ -e "$HOME/unsure-go" ] || sleep 300';
    await stack.addRunbook('unsure', {
      targets: 'asset.labels.number in ["0", "1"]',
      steps: [
        {
          id: 'change',
          uses: 'ssh.script',
          timeout: '29s',
          with: { script, arguments: ['${{ asset.name }}'] },
        },
        mark('after', { with: { script: 'echo "after $1" >> "$HOME/unsure"', arguments: ['${{ asset.name }}'] } }),
      ],
    });
    const { id } = await stack.start('unsure');
    while ((await linesOf('unsure')).length < 2) await sleep(50);
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
    const run = await stack.ended(id);
    expect(run.targets.map((target) => target.state)).toEqual(['unknown', 'unknown']);
    await writeFile(home('unsure-go'), '');
    await expect(resume(id)).rejects.toMatchObject({ code: 'unsettled-steps', detail: { count: 2 } });
    await expect(stack.inTransaction((context) => retryRun(context, id, { ...plain }))).rejects.toMatchObject({
      code: 'unsettled-steps',
    });
    await expect(resume(id, { rerunUnknown: true })).rejects.toMatchObject({ code: 'invalid-request' });
    const settle = (target: string, as: 'done' | 'not-done'): Promise<unknown> =>
      stack.inTransaction((context) => resolveRun(context, id, { target, as, reason: 'I looked' }));
    await settle('host-000', 'done');
    await expect(settle('host-000', 'done')).rejects.toMatchObject({ code: 'nothing-unknown' });
    await settle('host-001', 'not-done');
    const resumed = await stack.ended((await resume(id)).id);
    expect([resumed.state, resumed.error]).toEqual(['succeeded', null]);
    expect(stepsOf(resumed, 'host-000')).toEqual(['change/1=succeeded (carried)', 'after/1=succeeded']);
    expect(stepsOf(resumed, 'host-001')).toEqual(['change/1=succeeded', 'after/1=succeeded']);
    expect(await linesOf('unsure')).toEqual(['after host-000', 'after host-001', 'host-000', 'host-001', 'host-001']);
    // The ended run says what was found, and stays what it was.
    const before = await stack.run(id);
    expect(before.state).toBe(run.state);
    expect(before.targets[0]?.steps[0]).toMatchObject({ state: 'unknown', resolution: { as: 'done', by: 'tester' } });
  }, 120_000);

  it('asks about a step of its own that has happened without its output, and does not try it again', async () => {
    const order = call('order', 'order', {
      outputs: { number: 'int(result.body)' },
      retry: { maxAttempts: 3, backoff: '100ms' },
    });
    const look = call('look', 'look', {
      with: { url: service.url('/look') },
      outputs: { number: 'int(result.body)' },
      retry: { maxAttempts: 2, backoff: '100ms' },
    });
    await stack.addRunbook('orders', { steps: [order, call('ship', 'ship')] });
    await stack.addRunbook('looks', { steps: [look] });
    const failed = async (): Promise<string> => {
      const run = await stack.ended((await stack.start('orders')).id);
      expect(run.state).toBe('failed');
      await expect(resume(run.id)).rejects.toMatchObject({ code: 'unsettled-steps', detail: { count: 1 } });
      return run.id;
    };
    const settled = await failed();
    expect(callsOf('order')).toBe(1);
    await stack.inTransaction((context) =>
      resolveRun(context, settled, { step: 'order', as: 'done', reason: 'it is in the shop' }),
    );
    const resumed = await stack.ended((await resume(settled)).id);
    expect([resumed.state, callsOf('order'), callsOf('ship')]).toEqual(['succeeded', 1, 1]);
    const again = await failed();
    const repeated = await stack.ended((await resume(again, { rerunUnknown: true, reason: 'twice is fine' })).id);
    expect([repeated.state, callsOf('order'), callsOf('ship')]).toEqual(['failed', 3, 1]);
    // What only looks is tried again, and needs nobody.
    const looked = await stack.ended((await stack.start('looks')).id);
    expect([looked.state, callsOf('look')]).toEqual(['failed', 2]);
    expect((await stack.ended((await resume(looked.id)).id)).state).toBe('failed');
  }, 120_000);

  it('tells the state after any of its entries', async () => {
    const rows: { id: string }[] = await stack.dataSource.query(
      `SELECT id FROM run WHERE runbook = 'two-parts' ORDER BY id`,
    );
    const runId = rows[0]!.id;
    const items = await entriesOf(runId);
    const at = (seq: number) => readRunAt(stack.dataSource.manager, runId, seq);
    expect(await at(0)).toMatchObject({ seq: 0, state: 'queued', counts: { pending: 3 }, controlSteps: [] });
    const last = items.at(-1)!.seq;
    const end = await at(last);
    const run = await stack.run(runId);
    expect({ state: end.state, counts: end.counts }).toEqual({ state: run.state, counts: run.counts });
    // Whatever the entry, each target counts once.
    for (const { seq } of items) {
      const { counts, targets } = await at(seq);
      expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(3);
      expect(targets).toHaveLength(3);
    }
    const announced = items.find(({ kind, step }) => kind === 'step-ended' && step === 'announce')!;
    expect(await at(announced.seq)).toMatchObject({
      state: 'running',
      controlSteps: [{ step: 'announce', attempt: 1, state: 'succeeded' }],
      counts: { pending: 3 },
    });
  }, 60_000);
});

function entriesOf(id: string): Promise<{ seq: number; kind: string; step: string | null }[]> {
  return stack.dataSource.query(`SELECT seq, kind, step FROM entry WHERE run_id = $1 ORDER BY seq`, [id]);
}
