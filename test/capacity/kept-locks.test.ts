import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  endUndo,
  lockAssets,
  lockForUndo,
  lockRun,
  openLane,
  saveLockedRun,
  startUndo,
  stopWaiting,
  wakeAssetWaiters,
  type ClaimedTarget,
  type LockedRun,
  type Transaction,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { TestStack } from '../support/stack.js';

/** No worker: the runs stand as they are put. */
describe('locks of assets on which something may yet be undone', () => {
  let stack: TestStack;
  let h1: string, h2: string, a: string, b: string;

  beforeAll(async () => {
    stack = await TestStack.create();
    const back = { uses: 'ssh.run', with: { argv: ['true'] } };
    const steps = [{ id: 'change', uses: 'ssh.run', with: { argv: ['true'] }, rollback: back }];
    await stack.addRunbook('undoes', { targets: 'asset.kind == "server"', steps });
  }, 60_000);
  afterAll(() => stack?.close());

  beforeEach(async () => {
    await stack.dataSource.query(`UPDATE asset SET lifecycle = 'retired'`);
    [h1, h2] = [uuidv7(), uuidv7()];
    for (const id of [h1, h2]) {
      await stack.dataSource.query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', $2, 'server')`, [
        id,
        `host-${id}`,
      ]);
    }
    [a, b] = [(await stack.start('undoes')).id, (await stack.start('undoes')).id];
    await stack.dataSource.query(`UPDATE run SET state = 'running' WHERE id = ANY ($1)`, [[a, b]]);
  });

  const targetOf = (assetId: string): ClaimedTarget => ({
    ...{ assetId, assetName: assetId, state: 'pending', stepIndex: 0, generation: 1, outputs: {} },
    ...{ isParked: false, failing: 0, error: null, lane: 1000, laneEpoch: 1 },
  });
  const claimOf = (runId: string) => ({
    ...({ runId, lane: 1000, laneEpoch: 1, mode: 'exclusive', rootRunId: runId } as const),
  });
  async function asLocked<Result>(
    runId: string,
    work: (transaction: Transaction, run: LockedRun) => Promise<Result>,
  ): Promise<Result> {
    return stack.dataSource.transaction(async (transaction) => {
      const run = await lockRun(transaction, runId);
      const result = await work(transaction, run);
      await saveLockedRun(transaction, run);
      return result;
    });
  }
  const take = (runId: string, assetId: string): Promise<boolean> =>
    asLocked(runId, async (transaction, run) => {
      const targets = [targetOf(assetId)];
      const held = await lockAssets(transaction, run, { ...claimOf(runId), wave: 1, reach: 'asset', targets });
      return held.has(assetId);
    });
  const takeToUndo = (runId: string, assetId: string): Promise<boolean> =>
    asLocked(runId, (transaction, run) => lockForUndo(transaction, run, claimOf(runId), targetOf(assetId)));
  async function end(runId: string, assetId: string, state: string): Promise<void> {
    await stack.dataSource.query(
      `UPDATE run_target SET state = $3, ended_at = clock_timestamp() WHERE run_id = $1 AND asset_id = $2`,
      [runId, assetId, state],
    );
  }

  /** Until a statement that begins so waits for what another one has locked. */
  async function waitsForRow(text: string): Promise<void> {
    for (;;) {
      const rows: unknown[] = await stack.dataSource.query(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND starts_with(ltrim(query, E' \n'), $1)`,
        [text],
      );
      if (rows.length > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  it('are kept where a target that waited has ended: nobody waits there any more', async () => {
    expect([await take(b, h2), await take(a, h1), await take(a, h2)]).toEqual([true, true, false]);
    await end(a, h1, 'failed');
    await end(a, h2, 'cancelled');
    expect(await take(b, h1)).toBe(false);
  });

  it('are given up while the run waits for another asset, so that no two wait for each other', async () => {
    expect([await take(b, h2), await take(a, h1), await take(a, h2)]).toEqual([true, true, false]);
    await end(a, h1, 'failed');
    expect(await take(b, h1)).toBe(true);
  });

  it('are kept while the undo is at work, also where the undo on another asset waits', async () => {
    expect([await take(a, h1), await take(b, h2)]).toEqual([true, true]);
    await end(a, h1, 'failed');
    await end(a, h2, 'failed');
    await stack.dataSource.transaction((transaction) => openLane(transaction, a, 1000, 'tester'));
    const attempt = { assetId: h1, path: 'change', generation: 1, token: 't', effect: 'mutating' } as const;
    await stack.dataSource.transaction(async (transaction) => {
      const run = await lockRun(transaction, a);
      expect(await lockForUndo(transaction, run, claimOf(a), targetOf(h1))).toBe(true);
      await startUndo(transaction, claimOf(a), attempt);
    });
    expect(await takeToUndo(a, h2)).toBe(false);
    expect(await take(b, h1)).toBe(false);
    await stack.dataSource.transaction((transaction) =>
      endUndo(transaction, claimOf(a), attempt, { state: 'succeeded', exitCode: 0, error: null }, []),
    );
    // The other undo waits, and this one is over.
    expect(await take(b, h1)).toBe(true);
    expect(await takeToUndo(a, h1)).toBe(false);
  });

  it('are kept again once the undo of another asset has given up', async () => {
    expect([await take(a, h1), await take(b, h2)]).toEqual([true, true]);
    await end(a, h1, 'failed');
    await end(a, h2, 'failed');
    expect(await takeToUndo(a, h2)).toBe(false);
    await stack.dataSource.transaction((transaction) => stopWaiting(transaction, a, [h2]));
    expect(await take(b, h1)).toBe(false);
  });

  it('are not taken by whoever began to look before they were taken for an undo, and had to wait for that', async () => {
    expect([await take(b, h2), await take(a, h1), await take(a, h2)]).toEqual([true, true, false]);
    await end(a, h1, 'failed');
    await stack.dataSource.transaction((transaction) => openLane(transaction, a, 1000, 'tester'));
    let other: Promise<boolean> | undefined;
    await stack.dataSource.transaction(async (transaction) => {
      await lockForUndo(transaction, await lockRun(transaction, a), claimOf(a), targetOf(h1));
      other = take(b, h1);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const attempt = { assetId: h1, path: 'change', generation: 1, token: 't', effect: 'mutating' } as const;
      await startUndo(transaction, claimOf(a), attempt);
    });
    expect(await other).toBe(false);
  });

  it('are shared at once by those that come in the same moment', async () => {
    const share = (transaction: Transaction, run: LockedRun, assetIds: string[]): Promise<ReadonlySet<string>> =>
      lockAssets(transaction, run, {
        ...claimOf(run.id),
        ...({ mode: 'shared', wave: 1, reach: 'asset', targets: assetIds.map(targetOf) } as const),
      });
    // A third one holds back the second one at the first asset, while the first one takes the other.
    const third = (await stack.start('undoes')).id;
    const [first, last] = [h1, h2].sort();
    let other: Promise<ReadonlySet<string>> | undefined;
    await stack.dataSource.transaction(async (transaction) => {
      await share(transaction, await lockRun(transaction, third), [first!]);
      other = asLocked(b, (own, run) => share(own, run, [first!, last!]));
      await waitsForRow('WITH wanted AS');
      expect((await asLocked(a, (own, run) => share(own, run, [last!]))).size).toBe(1);
    });
    expect((await other)?.size).toBe(2);
  });

  it('wake whoever waits once more where he was just woken, not at once but soon', async () => {
    expect([await take(a, h1), await take(a, h2), await take(b, h1), await take(b, h2)]).toEqual([
      ...[true, true, false, false],
    ]);
    const wakes = (): Promise<{ sent: boolean; later: boolean }[]> =>
      stack.dataSource.query(
        `SELECT sent_at IS NOT NULL AS sent, next_at > o.created_at + interval '500 ms' AS later FROM outbox o JOIN run r ON r.workflow_id = o.subject
         WHERE r.id = $1 AND o.kind = 'wake-run' ORDER BY o.id`,
        [b],
      );
    const free = async (assetId: string): Promise<void> => {
      await stack.dataSource.query(
        `UPDATE run_target SET due_at = clock_timestamp() + interval '1 minute' WHERE run_id = $1 AND asset_id = $2`,
        [b, assetId],
      );
      await stack.dataSource.transaction((transaction) => wakeAssetWaiters(transaction, a, [assetId]));
    };
    await free(h1);
    expect(await wakes()).toEqual([{ sent: false, later: false }]);
    await stack.dataSource.query(`UPDATE outbox SET sent_at = clock_timestamp() WHERE kind = 'wake-run'`);
    await free(h2);
    await free(h1);
    expect(await wakes()).toEqual([
      { sent: true, later: false },
      { sent: false, later: true },
    ]);
  });
});
