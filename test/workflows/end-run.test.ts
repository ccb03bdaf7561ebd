import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  claimRun,
  claimTargets,
  emptyCounts,
  endRun,
  listControlJournal,
  lockRun,
  NIL_ASSET_ID,
  openLane,
  readDoneSteps,
  releaseClaims,
  saveLockedRun,
} from '@fettle/database';
import { resumeRun } from '@fettle/operations';
import { uuidv7 } from 'uuidv7';
import { TestStack } from '../support/stack.js';

const EFFECTS = ['none', 'read-only', 'idempotent', 'mutating', 'irreversible'] as const;

describe('the end of a run with steps in flight', () => {
  let stack: TestStack;

  beforeAll(async () => {
    stack = await TestStack.create();
    const steps = [{ id: 'a', uses: 'ssh.run', with: { argv: ['true'] } }];
    await stack.addRunbook('touch', { targets: 'asset.kind == "server"', steps });
    for (const effect of EFFECTS) {
      await stack.dataSource.query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', $2, 'server')`, [
        uuidv7(),
        effect,
      ]);
    }
  }, 60_000);
  afterAll(() => stack?.close());

  it('calls unknown only what may have changed something', async () => {
    const { id } = await stack.start('touch');
    await stack.dataSource.transaction((transaction) => claimRun(transaction, id, 'w'));
    await stack.dataSource.query(
      `UPDATE run_target SET state = 'running', lane = 0, lane_epoch = 1 WHERE run_id = $1`,
      [id],
    );
    await stack.dataSource.query(`UPDATE run SET counts = $2 WHERE id = $1`, [id, { ...emptyCounts(), running: 5 }]);
    await stack.dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, generation, lane_epoch, token, state, started_at, effect)
       SELECT run_id, asset_id, 'a', 1, 1, 't', 'started', now(), asset_name FROM run_target WHERE run_id = $1`,
      [id],
    );
    await stack.dataSource.transaction((own) => endRun(own, id, 'failed', { code: 'workflow-closed', message: 'm' }));
    const rows: object[] = await stack.dataSource.query(
      `SELECT s.effect, s.state AS step, s.error ->> 'code' AS code, t.state AS target
       FROM run_step s JOIN run_target t USING (run_id, asset_id) WHERE run_id = $1`,
      [id],
    );
    const harmless = { step: 'cancelled', code: 'cancelled', target: 'cancelled' };
    const uncertain = { step: 'unknown', code: 'effect-uncertain', target: 'unknown' };
    expect(new Set(rows)).toEqual(
      new Set([
        { effect: 'none', ...harmless },
        { effect: 'read-only', ...harmless },
        { effect: 'idempotent', ...harmless },
        { effect: 'mutating', ...uncertain },
        { effect: 'irreversible', ...uncertain },
      ]),
    );
    expect((await stack.run(id)).counts).toMatchObject({ running: 0, cancelled: 3, unknown: 2 });
  });

  it('leaves a target as pending of which a claim was given back before anything was begun', async () => {
    const { id } = await stack.start('touch');
    await stack.dataSource.transaction((transaction) => claimRun(transaction, id, 'w'));
    const { laneEpoch } = await stack.dataSource.transaction((transaction) => openLane(transaction, id, 0, 'tester'));
    const claim = { runId: id, lane: 0, laneEpoch };
    const [begun, fresh] = await stack.dataSource.transaction(async (transaction) => {
      const run = await lockRun(transaction, id);
      const place = { firstStep: 0, lastStep: 0, firstStepId: 'a', wave: 1, limit: 2 };
      const { targets } = await claimTargets(transaction, run, { ...claim, ...place });
      await saveLockedRun(transaction, run);
      return targets.map(({ assetId }) => assetId);
    });
    await stack.dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, generation, lane_epoch, token, state, started_at, effect)
       VALUES ($1, $2, 'a', 1, $3, 't', 'started', now(), 'read-only')`,
      [id, begun, laneEpoch],
    );
    await stack.dataSource.transaction(async (transaction) => {
      const run = await lockRun(transaction, id);
      await releaseClaims(transaction, run, claim, [begun!, fresh!]);
      await saveLockedRun(transaction, run);
    });
    const rows: object[] = await stack.dataSource.query(
      `SELECT asset_id, state, started_at IS NULL AS "isNew" FROM run_target WHERE run_id = $1 AND asset_id = ANY ($2)`,
      [id, [begun, fresh]],
    );
    expect(new Set(rows)).toEqual(
      new Set([
        { asset_id: begun, state: 'running', isNew: false },
        { asset_id: fresh, state: 'pending', isNew: true },
      ]),
    );
    expect((await stack.run(id)).counts).toMatchObject({ pending: 4, running: 1 });
  });

  it('finds to undo what was done before a step that did not happen, as a person has said', async () => {
    const { id } = await stack.start('touch');
    const [{ asset_id: assetId }]: [{ asset_id: string }] = await stack.dataSource.query(
      `SELECT asset_id FROM run_target WHERE run_id = $1 LIMIT 1`,
      [id],
    );
    await stack.dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, generation, lane_epoch, token, state, started_at, ended_at, effect)
       VALUES ($1, $2, 'a', 1, 1, 't', 'succeeded', now(), now(), 'mutating'),
         ($1, $2, 'later', 1, 1, 't', 'unknown', now(), now(), 'mutating')`,
      [id, assetId],
    );
    const read = async (paths: string[]) =>
      (await readDoneSteps(stack.dataSource.manager, id, paths, { which: 'all' })).map((one) => [
        one.path,
        one.isRollbackIncomplete,
      ]);
    expect([await read(['a']), await read(['later'])]).toEqual([[['a', true]], [['later', false]]]);
    await stack.dataSource.query(`UPDATE run_step SET resolution = $2 WHERE run_id = $1 AND step = 'later'`, [
      id,
      { as: 'done' },
    ]);
    expect(await read(['a'])).toEqual([['a', true]]);
    await stack.dataSource.query(`UPDATE run_step SET resolution = $2 WHERE run_id = $1 AND step = 'later'`, [
      id,
      { as: 'not-done' },
    ]);
    expect([await read(['a']), await read(['later'])]).toEqual([[['a', false]], []]);
  });

  describe('that was undoing a run that it, or one that it takes up, had called', () => {
    /** A run that takes up one whose call succeeded; it undoes that call, and does not come to the end of it. */
    async function lost(output: object | null, state = 'started'): Promise<{ id: string; called: string }> {
      const [before, called, id] = await Promise.all([1, 2, 3].map(async () => (await stack.start('touch')).id));
      await stack.dataSource.query(`UPDATE run SET state = 'running', started_at = now() WHERE id = ANY ($1)`, [
        [before, called, id],
      ]);
      await stack.dataSource.query(
        `UPDATE run SET parent_run_id = $2, parent_path = 'go', undone_at = now() WHERE id = $1`,
        [called, before],
      );
      await stack.dataSource.query(`UPDATE run SET continues = $2, continued_how = 'resume' WHERE id = $1`, [
        id,
        before,
      ]);
      await stack.dataSource.query(
        `INSERT INTO run_wait (run_id, path, kind, name, child_run_id) VALUES ($1, 'go', 'call', 'touch', $2)`,
        [before, called],
      );
      await stack.dataSource.query(
        `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, state, started_at, ended_at, effect, output)
         VALUES ($1, $2, 'go', 'do', 1, 0, 't', 'succeeded', now(), now(), 'none', NULL),
           ($1, $2, 'go', 'undo', 1, 1, 't', $4, now(), CASE $4::text WHEN 'started' THEN NULL ELSE now() END, 'none', $3)`,
        [id, NIL_ASSET_ID, output, state],
      );
      await stack.dataSource.query(
        `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, state, started_at, effect)
         SELECT $1, asset_id, 'a', 'undo', 1, 1, 't', 'started', now(), asset_name FROM run_target WHERE run_id = $1`,
        [called],
      );
      for (const ended of [called, before]) {
        await stack.dataSource.query(`UPDATE run SET state = 'succeeded', ended_at = now() WHERE id = $1`, [ended]);
      }
      await stack.dataSource.transaction((own) => endRun(own, id, 'failed', { code: 'workflow-closed', message: 'm' }));
      return { id: id!, called: called! };
    }
    const isUndone = async (id: string): Promise<(readonly [string, boolean])[]> =>
      (await listControlJournal(stack.dataSource.manager, id)).map((row) => [row.path, row.isUndone] as const);

    it('tells that some of it may be undone, and of which undos nobody knows', async () => {
      const { id, called } = await lost(null);
      expect(await isUndone(id)).toEqual([['go', true]]);
      const rows: { effect: string; state: string }[] = await stack.dataSource.query(
        `SELECT effect, state FROM run_step WHERE run_id = $1 AND phase = 'undo'`,
        [called],
      );
      expect(
        rows
          .filter(({ state }) => state === 'unknown')
          .map(({ effect }) => effect)
          .sort(),
      ).toEqual(['irreversible', 'mutating']);
      expect(rows.filter(({ state }) => state === 'cancelled')).toHaveLength(3);
      const resumed = stack.inTransaction((context) =>
        resumeRun(context, id, { targets: 'unfinished', rerunUnknown: false }),
      );
      await expect(resumed).rejects.toMatchObject({
        code: 'unsettled-steps',
        detail: {
          unsettled: [
            { runId: called, asset: 'irreversible', step: 'a#undo' },
            { runId: called, asset: 'mutating', step: 'a#undo' },
          ],
        },
      });
    });

    it('leaves the call whole where it says itself that nothing was undone', async () => {
      const { id } = await lost({ undone: false }, 'failed');
      expect(await isUndone(id)).toEqual([['go', false]]);
    });
  });
});
