import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  claimRun,
  claimTargets,
  endRun,
  finishAttempts,
  journalStarted,
  lockRun,
  lockRunForLanes,
  openFreshLane,
  openLane,
  saveLockedRun,
  type AttemptEnd,
  type ClaimedTarget,
  type LaneClaim,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { TestStack } from '../support/stack.js';

const HOSTS = 10;
const place = { firstStep: 0, lastStep: 0, firstStepId: 'a', wave: 1 };
const succeeded = ({ assetId, generation }: ClaimedTarget): AttemptEnd => ({
  ...{ assetId, step: 'a', generation, state: 'succeeded', exitCode: 0, error: null, output: null },
  next: { kind: 'end', state: 'succeeded' },
});

describe('lanes that write in one transaction', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.create();
    const steps = [{ id: 'a', uses: 'ssh.run', with: { argv: ['true'] } }];
    await stack.addRunbook('touch', { targets: 'asset.kind == "server"', rollout: { maxConcurrency: 7 }, steps });
    for (let host = 0; host < HOSTS; host += 1) {
      await stack.dataSource.query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', $2, 'server')`, [
        uuidv7(),
        `host-${host}`,
      ]);
    }
  }, 60_000);
  afterAll(() => stack?.close());

  async function begin(): Promise<string> {
    const { id } = await stack.start('touch');
    expect(await claimRun(stack.dataSource.manager, id, 'w')).toMatchObject({ pending: HOSTS });
    return id;
  }

  async function fresh(runId: string, lane: number): Promise<LaneClaim> {
    const opened = await openFreshLane(stack.dataSource.manager, runId, lane, 'tester');
    return { runId, lane, laneEpoch: opened!.laneEpoch };
  }

  /** Claims for all of these lanes at once, and journals what they begin. */
  function claim(runId: string, seats: readonly (readonly [LaneClaim, number])[]): Promise<readonly ClaimedTarget[]> {
    return stack.dataSource.transaction(async (transaction) => {
      const run = await lockRun(transaction, runId);
      const { targets } = await claimTargets(transaction, run, {
        ...{ ...seats[0]![0], ...place, limit: seats.reduce((sum, [, count]) => sum + count, 0) },
        seats: seats.map(([{ lane, laneEpoch }, count]) => ({ lane, laneEpoch, count })),
      });
      const starts = targets.map(({ assetId, laneEpoch, generation }) => ({
        ...{ assetId, laneEpoch, step: 'a', generation, token: `t-${assetId}-${runId}`, effect: 'read-only' as const },
        ...{ detached: false, place: null, isParked: false },
      }));
      await journalStarted(transaction, run, starts);
      await saveLockedRun(transaction, run);
      return targets;
    });
  }

  it('fills the slots of each, within the limit of the run, and each holds its own', async () => {
    const runId = await begin();
    const [one, two, three] = [await fresh(runId, 0), await fresh(runId, 1), await fresh(runId, 2)];
    const targets = await claim(runId, [
      [one, 2],
      [two, 0],
      [three, 100],
    ]);
    const held = (lane: LaneClaim) => targets.filter((target) => target.lane === lane.lane).length;
    expect([held(one), held(two), held(three)]).toEqual([2, 0, 5]);
    const rows = await stack.dataSource.query<object[]>(
      `SELECT lane, lane_epoch, count(*)::integer AS count FROM run_target WHERE run_id = $1 AND lane IS NOT NULL GROUP BY 1, 2 ORDER BY 1`,
      [runId],
    );
    expect(rows).toEqual([
      { lane: 0, lane_epoch: 1, count: 2 },
      { lane: 2, lane_epoch: 1, count: 5 },
    ]);
    expect(await claim(runId, [[two, 10]])).toEqual([]);
    expect((await stack.run(runId)).counts).toMatchObject({ pending: 3, running: 7 });
  });

  it('takes the ends of those that hold their epoch, and leaves out what another lane holds', async () => {
    const runId = await begin();
    const [one, two] = [await fresh(runId, 0), await fresh(runId, 1)];
    const targets = await claim(runId, [
      [one, 2],
      [two, 2],
    ]);
    expect(await openFreshLane(stack.dataSource.manager, runId, 1, 'another')).toBeNull();
    const taken = await stack.dataSource.transaction((transaction) => openLane(transaction, runId, 1, 'another'));
    expect(taken).toMatchObject({ laneEpoch: 2, orphans: [{ lane: 1 }, { lane: 1 }] });
    await stack.dataSource.transaction(async (transaction) => {
      const { run, held } = await lockRunForLanes(transaction, runId, [one, two]);
      expect([...held]).toEqual([one]);
      // As if nobody had looked: each end says whose it is, and only what that lane holds under that epoch is taken.
      const all = targets.map(succeeded);
      await finishAttempts(
        transaction,
        run,
        [one, two].map((lane) => ({ claim: lane, ends: all })),
        [],
      );
      await saveLockedRun(transaction, run);
    });
    expect((await stack.run(runId)).counts).toMatchObject({ pending: 6, running: 2, succeeded: 2 });
    const entries = await stack.dataSource.query<{ seq: number; kind: string }[]>(
      `SELECT seq, kind FROM entry WHERE run_id = $1 ORDER BY seq`,
      [runId],
    );
    const starts = Array.from({ length: 4 }, () => 'step-started');
    const ends = ['step-ended', 'target-ended', 'step-ended', 'target-ended'];
    expect(entries.map(({ kind }) => kind)).toEqual(['run-queued', 'run-started', ...starts, ...ends]);
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => index + 1));
  });

  it('ends a run with all that is open, once', async () => {
    const runId = await begin();
    await claim(runId, [[await fresh(runId, 0), 3]]);
    const end = () =>
      stack.dataSource.transaction((transaction) => endRun(transaction, runId, 'failed', { code: 'x', message: 'm' }));
    expect(await end()).toMatchObject({ ended: true, counts: { skipped: 7, cancelled: 3 }, scheduleId: null });
    expect(await end()).toMatchObject({ ended: false, counts: { skipped: 7, cancelled: 3 } });
    const entries = await stack.dataSource.query<{ kind: string; count: number }[]>(
      `SELECT kind, count(*)::integer AS count FROM entry WHERE run_id = $1 AND kind LIKE '%-ended' GROUP BY kind ORDER BY kind`,
      [runId],
    );
    expect(entries).toEqual([
      { kind: 'run-ended', count: 1 },
      { kind: 'step-ended', count: 3 },
      { kind: 'target-ended', count: HOSTS },
    ]);
    expect(await claimRun(stack.dataSource.manager, runId, 'w')).toBeNull();
  });
});
