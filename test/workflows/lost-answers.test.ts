import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { claimRun, openFreshLane, type AttemptEnd, type LaneClaim } from '@fettle/database';
import { SegmentWriter } from '../../activities/dist/run/segment-writer.js';
import type { Turn, Written } from '../../activities/dist/run/lane-turn.js';
import { loadRun } from '../../activities/dist/run/load-run.js';
import type { WorkerServices } from '../../activities/dist/run/services.js';
import { TestStack } from '../support/stack.js';

const HOSTS = 4;

/** What becomes of a transaction of the lanes: its answer is lost after it was committed, or it is not committed. */
type Fault = 'lost' | 'undone';

/** No worker: lanes are written as one would, over a connection that breaks when a test says so. */
describe('turns of lanes whose transaction breaks', () => {
  let stack: TestStack;
  let runId: string;
  let writer: SegmentWriter;
  let faults: (Fault | undefined)[];
  let lanes: LaneClaim[];

  beforeAll(async () => {
    stack = await TestStack.create();
    for (let host = 0; host < HOSTS; host += 1) {
      await stack.dataSource.query(
        `INSERT INTO asset (id, space, name, kind) VALUES (gen_random_uuid(), 'default', $1, 'server')`,
        [`host-${host}`],
      );
    }
    const run = (id: string) => ({
      id,
      uses: 'ssh.run',
      with: { argv: ['true'] },
      rollback: { none: 'nothing is there' },
    });
    const rollout = { strategy: 'free', maxConcurrency: HOSTS };
    await stack.addRunbook('two', { targets: 'asset.kind == "server"', rollout, steps: [run('one'), run('two')] });
  }, 60_000);
  afterAll(() => stack?.close());

  beforeEach(async () => {
    runId = (await stack.start('two')).id;
    await claimRun(stack.dataSource.manager, runId, 'w');
    faults = [];
    const services = {
      tokenKey: Buffer.alloc(32),
      logger: { warn: () => undefined },
      dataSource: {
        manager: stack.dataSource.manager,
        transaction: async <Result>(work: (transaction: unknown) => Promise<Result>): Promise<Result> => {
          const fault = faults.shift();
          const result = await stack.dataSource.transaction(async (transaction) => {
            const written = await work(transaction);
            if (fault === 'undone') throw new Error('the connection is gone');
            return written;
          });
          if (fault === 'lost') throw new Error('the connection is gone');
          return result;
        },
      },
    } as unknown as WorkerServices;
    writer = new SegmentWriter(
      services,
      await loadRun(services, runId),
      { runId, firstStep: 0, lastStep: 1 },
      () => undefined,
    );
    lanes = [];
    for (const lane of [0, 1, 2]) {
      const opened = await openFreshLane(stack.dataSource.manager, runId, lane, 'tester');
      lanes.push({ runId, lane, laneEpoch: opened!.laneEpoch });
    }
  });

  const turnOf = (lane: number, more: Partial<Turn> = {}): Turn => ({
    ...{ claim: lanes[lane]!, ends: [], logs: [], parked: [], wanted: 0, looks: true, lastSeq: 0 },
    ...{ isEnding: () => false, known: () => [], ...more },
  });
  const endOf = (assetId: string, more: Partial<AttemptEnd> = {}): AttemptEnd => ({
    ...{ assetId, step: 'one', generation: 1, state: 'succeeded', exitCode: 0, error: null, output: {} },
    ...{ next: { kind: 'advance', stepIndex: 1 }, ...more },
  });
  const logOf = (assetId: string) =>
    ({ assetId, step: 'one', generation: 1, stream: 'stdout', line: 1, body: `of ${assetId}\n` }) as const;
  const assetsOf = ({ attempts }: Written): string[] => attempts.map(({ target }) => target.assetId);

  /** How often each end of the first step stands in the entries and each line of it in the log, by asset. */
  async function stands(): Promise<[assetId: string, ends: number, lines: number][]> {
    const rows: { id: string; ends: number; lines: number }[] = await stack.dataSource.query(
      `SELECT asset_id AS id,
         (SELECT count(*)::int FROM entry e WHERE e.run_id = $1 AND e.asset_id = t.asset_id AND kind = 'step-ended' AND step = 'one') AS ends,
         (SELECT count(*)::int FROM run_log l WHERE l.run_id = $1 AND l.asset_id = t.asset_id AND step = 'one') AS lines
       FROM run_target t WHERE run_id = $1 ORDER BY 1`,
      [runId],
    );
    return rows.map(({ id, ends, lines }) => [id, ends, lines]);
  }

  it('are written once, also where several lanes shared the transaction whose answer was lost', async () => {
    const [first, other] = [
      assetsOf(await writer.write(turnOf(1, { wanted: 2 }))),
      assetsOf(await writer.write(turnOf(2, { wanted: 2 }))),
    ];
    expect([first, other]).toEqual([
      [expect.any(String), expect.any(String)],
      [expect.any(String), expect.any(String)],
    ]);
    faults = ['lost'];
    const ends = (assets: string[]): Partial<Turn> => ({
      ...{ ends: assets.map((id) => endOf(id)), logs: assets.map(logOf), wanted: 2 },
    });
    // What comes while the last one is being written is written together.
    const written = await Promise.all([writer.write(turnOf(1, ends(first))), writer.write(turnOf(2, ends(other)))]);
    expect(await stands()).toEqual([...first, ...other].sort().map((id) => [id, 1, 1]));
    // What the lost transaction had claimed is claimed again, each by one lane.
    expect(written.flatMap(assetsOf).sort()).toEqual([...first, ...other].sort());
  });

  it('are written where they were not, although something that the run has from another one stands in them', async () => {
    const [carried, fresh] = assetsOf(await writer.write(turnOf(1, { wanted: 2 }))) as [string, string];
    await stack.dataSource.query(
      `UPDATE run_step SET state = 'succeeded', ended_at = now(), carried_from = $1 WHERE run_id = $1 AND asset_id = $2`,
      [runId, carried],
    );
    faults = ['undone'];
    const written = await writer.write(
      turnOf(1, { ends: [endOf(carried, { isCarried: true }), endOf(fresh)], logs: [logOf(fresh)] }),
    );
    expect(written.attempts).toEqual([]);
    expect((await stands()).filter(([id]) => id === fresh)).toEqual([[fresh, 1, 1]]);
    const states: { state: string }[] = await stack.dataSource.query(
      `SELECT state FROM run_step WHERE run_id = $1 AND asset_id = $2 AND step = 'one'`,
      [runId, fresh],
    );
    expect(states).toEqual([{ state: 'succeeded' }]);
  });

  it('hinder no other lane where one of them was taken over', async () => {
    await stack.dataSource.query(`UPDATE lane SET epoch = epoch + 1 WHERE run_id = $1 AND number = 1`, [runId]);
    const [alone, stale, other] = await Promise.allSettled([
      writer.write(turnOf(0, { wanted: 1 })),
      writer.write(turnOf(1, { wanted: 1 })),
      writer.write(turnOf(2, { wanted: 1 })),
    ]);
    expect([alone.status, other.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(stale).toMatchObject({ status: 'rejected', reason: { code: 'stale-lane' } });
  });
});
