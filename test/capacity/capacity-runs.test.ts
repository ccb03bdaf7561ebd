import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunDetail } from '@fettle/contracts';
import { saveCapacityLimit } from '@fettle/database';
import { cancelRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let worker: WorkerProcess;

const nap = (id: string, seconds: number) => ({
  id,
  uses: 'ssh.run',
  with: { argv: ['sleep', String(seconds)], effect: 'read-only' },
});
const targets = 'asset.labels.group == "host"';
const inputs = { type: 'object', properties: { site: { type: 'string' }, units: { type: 'integer' } } };

beforeAll(async () => {
  [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  await stack.addHosts(sshd, 2);
  await stack.addRunbook('step', { targets, steps: [{ ...nap('work', 1), capacity: ['db:billing'] }] });
  await stack.addRunbook('urgent', { targets, priority: 10, steps: [{ ...nap('work', 0), capacity: ['db:billing'] }] });
  await stack.addRunbook('whole', { targets, inputs, capacity: ['site:${{ inputs.site }}'], steps: [nap('work', 1)] });
  await stack.addRunbook('called', {
    targets,
    capacity: ['site:ber'],
    steps: [{ ...nap('work', 0), capacity: ['site:ber'] }],
  });
  await stack.addRunbook('caller', {
    capacity: ['site:ber'],
    steps: [{ id: 'sub', capacity: ['site:ber', 'db:billing'], call: { runbook: 'called' } }],
  });
  await stack.addRunbook('beside', {
    targets,
    steps: [
      {
        id: 'both',
        parallel: {
          a: [{ ...nap('left', 1), capacity: ['db:billing'] }],
          b: [{ ...nap('right', 1), capacity: ['db:billing'] }],
        },
      },
    ],
  });
  await stack.addRunbook('too-much', {
    targets,
    steps: [{ ...nap('work', 0), capacity: [{ key: 'db:billing', units: 2 }] }],
  });
  worker = await stack.startWorker();
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await stack?.close();
});

interface Span {
  readonly from: Date;
  readonly to: Date;
}

/** When each of the runs was at work on hosts. */
async function work(runIds: readonly string[]): Promise<Span[]> {
  return stack.dataSource.query(
    `SELECT min(started_at) AS from, max(ended_at) AS to FROM run_step WHERE run_id = ANY ($1)
       AND asset_id <> '00000000-0000-0000-0000-000000000000' GROUP BY run_id, step ORDER BY 1`,
    [runIds],
  );
}

function overlap(spans: readonly Span[]): boolean {
  return spans.some((one, index) => index > 0 && one.from < spans[index - 1]!.to);
}

async function allEnded(runIds: readonly string[]): Promise<RunDetail[]> {
  const runs: RunDetail[] = [];
  for (const id of runIds) runs.push(await stack.ended(id, 90_000));
  return runs;
}

async function leftOver(): Promise<unknown[]> {
  return stack.dataSource.query(`SELECT * FROM capacity_request`);
}

/** Until the run waits for its capacity. */
async function queued(runId: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await stack.run(runId)).capacity?.some((one) => one.state === 'queued')) return;
    await sleep(50);
  }
  throw new Error(`run ${runId} does not wait`);
}

describe('runs that declare a capacity', () => {
  it('do their steps one after the other, woken by who gives back, and the urgent one first', async () => {
    const first = await stack.start('step');
    while ((await stack.run(first.id)).capacity?.[0]?.state !== 'held') await sleep(20);
    const second = await stack.start('step');
    await queued(second.id);
    const urgent = await stack.start('urgent');
    await queued(urgent.id);
    const startedAtMs = Date.now();
    const ids = [first.id, second.id, urgent.id];
    for (const run of await allEnded(ids)) expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 2 } });
    // Without having been woken, they would look again after half a minute.
    expect(Date.now() - startedAtMs).toBeLessThan(25_000);
    expect(overlap(await work(ids))).toBe(false);
    const order = await Promise.all(ids.map(async (id) => (await work([id]))[0]!.from.getTime()));
    expect(order[2]).toBeLessThan(order[1]!);
    expect(await leftOver()).toEqual([]);
  }, 120_000);

  it('hold it for the whole run, each site by itself', async () => {
    const [ber, berToo, lon] = await Promise.all(
      ['ber', 'ber', 'lon'].map((site) => stack.start('whole', { inputs: { site } })),
    );
    for (const run of await allEnded([ber!.id, berToo!.id, lon!.id])) expect(run.state).toBe('succeeded');
    expect(overlap(await work([ber!.id, berToo!.id]))).toBe(false);
    expect(await leftOver()).toEqual([]);
  }, 120_000);

  it('cover the runs that they call, and let branches beside each other take turns', async () => {
    const caller = await stack.start('caller');
    expect(await stack.ended(caller.id, 60_000)).toMatchObject({ state: 'succeeded' });
    const beside = await stack.start('beside');
    expect(await stack.ended(beside.id, 60_000)).toMatchObject({ state: 'succeeded' });
    expect(overlap(await work([beside.id]))).toBe(false);
    expect(await leftOver()).toEqual([]);
  }, 150_000);

  it('fail where it can never be given, and leave the queue when they are cancelled', async () => {
    const { id } = await stack.start('too-much');
    const refused = await stack.ended(id);
    expect(refused.state).toBe('failed');
    expect(JSON.stringify(refused.error)).toContain('2 units of db:billing, which has 1 in all');
    const wrong = await stack.ended((await stack.start('whole', { inputs: { site: 'a b' } })).id);
    expect(wrong.state).toBe('failed');
    expect(JSON.stringify(wrong.error)).toContain('is not a list of keys');
    const holder = await stack.start('step');
    while ((await stack.run(holder.id)).capacity?.[0]?.state !== 'held') await sleep(20);
    const waiting = await stack.start('step');
    await queued(waiting.id);
    await stack.inTransaction((context) => cancelRun(context, waiting.id, { reason: 'never mind' }));
    expect(await stack.ended(waiting.id)).toMatchObject({ state: 'cancelled' });
    expect(await stack.ended(holder.id)).toMatchObject({ state: 'succeeded' });
    expect(await leftOver()).toEqual([]);
  }, 120_000);

  it('come to their end with a worker that is killed while some hold and others wait', async () => {
    await stack.dataSource.transaction((transaction) =>
      saveCapacityLimit(transaction, { space: 'default', key: 'db:billing', units: 2, document: 'billing' }),
    );
    const runs = await Promise.all(Array.from({ length: 6 }, () => stack.start('step')));
    const ids = runs.map((run) => run.id);
    await queued(ids.at(-1)!);
    await worker.stop('SIGKILL');
    worker = await stack.startWorker();
    for (const run of await allEnded(ids)) expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: 2 } });
    expect(await leftOver()).toEqual([]);
    const spans = await work(ids);
    const most = Math.max(
      ...spans.map((one) => spans.filter((other) => other.from <= one.from && one.from < other.to).length),
    );
    expect(most).toBe(2);
  }, 180_000);
});
