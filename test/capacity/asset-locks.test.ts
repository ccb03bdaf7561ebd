import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 6;

interface Span {
  readonly asset_id: string;
  readonly run_id: string;
  readonly from: Date;
  readonly to: Date;
}

let stack: TestStack;
let sshd: Sshd;
let worker: WorkerProcess;
let names: string[];

/** Steps that sleep and say that they change something, or only look. */
function steps(count: number, effect: 'mutating' | 'read-only', seconds = 0.3) {
  return Array.from({ length: count }, (_, index) => ({
    id: `step${index}`,
    uses: 'ssh.run',
    with: { argv: ['sleep', String(seconds)], effect },
  }));
}

beforeAll(async () => {
  [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  names = await stack.addHosts(sshd, HOSTS);
  const targets = 'asset.labels.group == "host"';
  await stack.addRunbook('patch', { targets, rollout: { maxConcurrency: 2 }, steps: steps(2, 'mutating') });
  await stack.addRunbook('configure', { targets, rollout: { maxConcurrency: 3 }, steps: steps(3, 'mutating', 0.1) });
  await stack.addRunbook('look', { targets, steps: steps(1, 'read-only', 1) });
  await stack.addRunbook('slow', { targets, steps: steps(1, 'mutating', 6) });
  await stack.addRunbook('quick', { targets, steps: steps(1, 'mutating', 0) });
  await stack.addRunbook('side', { targets, assetLock: 'shared', steps: steps(1, 'mutating', 2) });
  worker = await stack.startWorker();
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await stack?.close();
});

/** From the first *started* of a run on an asset to the end of its target there. */
function spans(runIds: readonly string[]): Promise<Span[]> {
  return stack.dataSource.query(
    `SELECT s.asset_id, s.run_id, min(s.started_at) AS from, max(t.ended_at) AS to
     FROM run_step s JOIN run_target t ON t.run_id = s.run_id AND t.asset_id = s.asset_id
     WHERE s.run_id = ANY ($1) GROUP BY s.asset_id, s.run_id`,
    [runIds],
  );
}

function overlaps(all: readonly Span[]): number {
  let count = 0;
  for (const [index, one] of all.entries())
    for (const other of all.slice(index + 1))
      if (one.asset_id === other.asset_id && one.from < other.to && other.from < one.to) count += 1;
  return count;
}

async function waitedFor(runId: string): Promise<{ asset_name: string; data: { heldBy: { runbook: string } } }[]> {
  return stack.dataSource.query(
    `SELECT t.asset_name, e.data FROM entry e JOIN run_target t ON t.run_id = e.run_id AND t.asset_id = e.asset_id
     WHERE e.run_id = $1 AND e.kind = 'target-waits' ORDER BY 1`,
    [runId],
  );
}

describe('runs that change the same assets', () => {
  it('take turns on each of them, also where their steps wait for each other, and come to their end', async () => {
    const started = await Promise.all(['patch', 'configure', 'patch', 'configure'].map((name) => stack.start(name)));
    for (const { id } of started) {
      expect(await stack.ended(id, 120_000)).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
    }
    const ids = started.map((run) => run.id);
    const all = await spans(ids);
    expect(all).toHaveLength(4 * HOSTS);
    expect(overlaps(all)).toBe(0);
    const waits = await Promise.all(ids.map(waitedFor));
    // All but the first had to wait.
    expect(waits.filter((list) => list.length > 0)).toHaveLength(3);
  }, 180_000);

  it('say what they wait for, while those that only look go past', async () => {
    const slow = await stack.start('slow');
    await sleep(2000);
    const [quick, look] = await Promise.all([stack.start('quick'), stack.start('look')]);
    expect(await stack.ended(look.id)).toMatchObject({ state: 'succeeded' });
    const waiting = await stack.run(quick.id);
    expect(waiting.state).toBe('running');
    expect(waiting.counts).toMatchObject({ pending: HOSTS });
    for (const target of waiting.targets) {
      expect(target.state).toBe('pending');
      expect(target.waits).toMatchObject({ asset: target.asset, heldBy: { runId: slow.id, runbook: 'slow' } });
    }
    expect((await stack.run(slow.id)).endedAt).toBeNull();
    expect((await waitedFor(quick.id)).map((entry) => entry.asset_name)).toEqual(names);
    const ended = await stack.ended(quick.id);
    expect(ended).toMatchObject({ state: 'succeeded' });
    expect(ended.targets.some((target) => target.waits !== undefined)).toBe(false);
    expect(overlaps(await spans([slow.id, quick.id]))).toBe(0);
    expect(overlaps(await spans([slow.id, look.id]))).toBe(HOSTS);
  }, 120_000);

  it('share where all of them declare it, and wait for one that does not', async () => {
    const sides = await Promise.all([stack.start('side'), stack.start('side')]);
    await sleep(1500);
    const quick = await stack.start('quick');
    for (const { id } of [...sides, quick]) expect(await stack.ended(id)).toMatchObject({ state: 'succeeded' });
    expect(overlaps(await spans(sides.map((run) => run.id)))).toBe(HOSTS);
    expect(overlaps(await spans([sides[0].id, quick.id]))).toBe(0);
  }, 120_000);

  it('go on when the run that they wait for is cancelled', async () => {
    const slow = await stack.start('slow');
    await sleep(1500);
    const quick = await stack.start('quick');
    await sleep(1000);
    await stack.inTransaction((context) => cancelRun(context, slow.id, { reason: 'enough' }));
    expect(await stack.ended(slow.id)).toMatchObject({ state: 'cancelled' });
    expect(await stack.ended(quick.id)).toMatchObject({ state: 'succeeded' });
  }, 120_000);
});
