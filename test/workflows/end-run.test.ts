import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { claimRun, emptyCounts, endRun } from '@fettle/database';
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
});
