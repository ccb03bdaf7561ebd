import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelRun, resumeRun, type OperationContext } from '@fettle/operations';
import { TestStack, WorkerProcess } from '../support/stack.js';

const instantAction = fileURLToPath(new URL('../support/instant-action.mjs', import.meta.url));
const [FEW, MANY] = [50, 5_000];
/** Of each target the first three are known; every second target failed at the fourth. */
const STEPS = ['one', 'two', 'three', 'four'] as const;

let stack: TestStack;
let worker: WorkerProcess | undefined;

beforeAll(async () => {
  // Accepting a run looks at the registry as well.
  await import(instantAction);
  stack = await TestStack.create();
  await stack.addCredential('nobody', 'password', 'not-used-by-a-simulated-host', 'nobody');
  for (const size of [FEW, MANY]) {
    await stack.dataSource.query(
      `WITH made AS (
         INSERT INTO asset (id, space, name, kind, labels)
         SELECT gen_random_uuid(), 'default', format('sim-%s-%s', $1::integer, n), 'server', jsonb_build_object('group', 'g' || $1::integer)
         FROM generate_series(1, $1::integer) AS n RETURNING id)
       INSERT INTO endpoint (asset_id, transport, address, port, credential, host_keys, source)
       SELECT id, 'ssh', '192.0.2.1', 22, 'nobody', '{}', 'test' FROM made`,
      [size],
    );
    await stack.addRunbook(`many-${size}`, {
      targets: `asset.labels.group == "g${size}"`,
      rollout: { maxConcurrency: 1000 },
      steps: STEPS.map((id) => ({ id, uses: 'test.instant', with: {} })),
    });
  }
  await stack.dataSource.query('ANALYZE');
}, 120_000);
afterAll(async () => {
  await worker?.stop();
  await stack?.close();
});

/** A run that stopped midway, as its journal would tell it; no worker has seen it. */
async function stoppedMidway(size: number): Promise<string> {
  const { id } = await stack.start(`many-${size}`);
  await stack.inTransaction((context) => cancelRun(context, id, {}));
  const isFailed = `(substring(asset_name FROM '\\d+$')::integer % 2 = 0)`;
  await stack.dataSource.query(
    `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, started_at, ended_at)
     SELECT run_id, asset_id, step, 'do', 1, 1, step || asset_id, 'read-only',
       CASE WHEN step = 'four' AND ${isFailed} THEN 'failed' ELSE 'succeeded' END, now(), now()
     FROM run_target, unnest($2::text[]) AS step WHERE run_id = $1`,
    [id, [...STEPS]],
  );
  await stack.dataSource.query(
    `UPDATE run_target SET state = CASE WHEN ${isFailed} THEN 'failed' ELSE 'succeeded' END, started_at = now(), ended_at = now()
     WHERE run_id = $1`,
    [id],
  );
  await stack.dataSource.query('ANALYZE run_step, run_target');
  return id;
}

/** Takes it up; how many statements that took. */
function resumeCounted(id: string): Promise<{ id: string; statements: number }> {
  return stack.inTransaction(async (context) => {
    let statements = 0;
    const query = (...args: Parameters<OperationContext['transaction']['query']>): Promise<unknown> => {
      statements += 1;
      return context.transaction.query(...args);
    };
    const transaction = new Proxy(context.transaction, {
      get: (target, name) => (name === 'query' ? query : (Reflect.get(target, name, target) as unknown)),
    });
    const next = await resumeRun({ ...context, transaction }, id, { targets: 'unfinished', rerunUnknown: false });
    return { id: next.id, statements };
  });
}

describe('a run of many targets that is taken up', () => {
  it('takes as many statements as one of few, and passes what is known in groups', async () => {
    const few = await resumeCounted(await stoppedMidway(FEW));
    const acceptedAtMs = Date.now();
    const many = await resumeCounted(await stoppedMidway(MANY));
    const acceptMs = Date.now() - acceptedAtMs;
    expect(few.statements).toBeGreaterThan(0);
    expect(many.statements).toBe(few.statements);
    const carried: { step: string; count: string }[] = await stack.dataSource.query(
      `SELECT step, count(*) AS count FROM run_step WHERE run_id = $1 AND carried_from IS NOT NULL GROUP BY step`,
      [many.id],
    );
    expect(Object.fromEntries(carried.map(({ step, count }) => [step, Number(count)]))).toEqual({
      ...{ one: MANY, two: MANY, three: MANY },
      four: MANY / 2,
    });
    const turnsBefore = await updatesOfRuns();
    worker = await WorkerProcess.start({ ...stack.environment, NODE_OPTIONS: `--import ${instantAction}` });
    const run = await stack.ended(many.id, 300_000);
    expect({ state: run.state, counts: run.counts }).toMatchObject({
      state: 'succeeded',
      counts: { succeeded: MANY, pending: 0, running: 0 },
    });
    // Nothing that is known was begun again: that a target has it behind it is told.
    const told: { kind: string; step: string | null; count: string }[] = await stack.dataSource.query(
      `SELECT kind, step, count(*) AS count FROM entry WHERE run_id = $1 AND asset_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2`,
      [many.id],
    );
    expect(told.map(({ kind, step, count }) => [kind, step, Number(count)])).toEqual([
      ...['four', 'one', 'three', 'two'].map((step) => ['step-ended', step, MANY / 2]),
      ['step-started', 'four', MANY / 2],
      ['target-ended', null, MANY / 2],
    ]);
    await stack.ended(few.id);
    // Each turn of a lane writes the run's row once, for all that it claims and all that has ended.
    const turns = (await updatesOfRuns()) - turnsBefore;
    const passes = (MANY / 2) * STEPS.length;
    process.stderr.write(
      `resume of ${MANY} targets: ${many.statements} statements and ${acceptMs} ms to accept (with the making of the run), then ` +
        `${Date.parse(run.endedAt!) - Date.parse(run.startedAt!)} ms, ${passes} passes of a step in ${turns} writes of run rows\n`,
    );
    expect(turns).toBeGreaterThan(0);
    expect(turns).toBeLessThan(passes / 5);
  }, 400_000);
});

/** As Postgres counts them; a session tells of its own within a second of its last transaction. */
async function updatesOfRuns(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await stack.dataSource.query('SELECT pg_stat_clear_snapshot()');
  const rows: { count: string }[] = await stack.dataSource.query(
    `SELECT n_tup_upd AS count FROM pg_stat_user_tables WHERE relname = 'run'`,
  );
  return Number(rows[0]!.count);
}
