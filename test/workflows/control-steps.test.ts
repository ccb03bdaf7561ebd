import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  claimRun,
  endControlStep,
  endRun,
  NIL_ASSET_ID,
  NO_EPOCH,
  requestCancel,
  startControlStep,
  type ControlAttempt,
  type ControlEnd,
} from '@fettle/database';
import { TestStack } from '../support/stack.js';

const succeeded: ControlEnd = { state: 'succeeded', error: null, output: { status: 200 } };
const unknown: ControlEnd = { state: 'unknown', error: { code: 'effect-uncertain', message: 'm' }, output: null };

describe('the journal of control steps', () => {
  let stack: TestStack;

  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
  }, 60_000);
  afterAll(() => stack?.close());

  async function runningRun(): Promise<string> {
    const { id } = await stack.start('call');
    await stack.dataSource.transaction((transaction) => claimRun(transaction, id, 'w'));
    return id;
  }
  const attemptOf = (runId: string, epoch: number, more: Partial<ControlAttempt> = {}): ControlAttempt => ({
    ...{ runId, step: 'a', generation: 1, token: 't', effect: 'mutating' as const },
    ...{ epoch, ...more },
  });
  const start = (attempt: ControlAttempt) => startControlStep(stack.dataSource.manager, attempt);
  const end = (attempt: ControlAttempt, ended: ControlEnd) => endControlStep(stack.dataSource.manager, attempt, ended);
  async function entriesOf(runId: string): Promise<string[]> {
    const rows: { seq: number; kind: string; data: { state?: string } }[] = await stack.dataSource.query(
      `SELECT seq, kind, data FROM entry WHERE run_id = $1 AND step IS NOT NULL ORDER BY seq`,
      [runId],
    );
    return rows.map((row) => `${row.kind} ${row.data.state ?? ''}`.trim());
  }

  it('gives an interrupted attempt to its successor, and nothing to the one before', async () => {
    const runId = await runningRun();
    const [first, second] = [attemptOf(runId, 11), attemptOf(runId, 22, { effect: 'read-only' })];
    expect(await start(first)).toEqual({ kind: 'fresh', token: 't', tokenRunId: runId });
    // Judged by what stood beside *started*, whatever the successor believes the step to do.
    expect(await start(second)).toEqual({
      ...{ kind: 'interrupted', effect: 'mutating', isOpen: true },
      // A resumed run would name the one that began it.
      ...{ token: 't', tokenRunId: runId },
    });
    await expect(end(first, succeeded)).rejects.toMatchObject({ code: 'stale-attempt' });
    await end(second, unknown);
    await expect(end(first, succeeded)).rejects.toMatchObject({ code: 'stale-attempt' });
    expect(await start(attemptOf(runId, 33))).toEqual({ kind: 'ended', end: unknown });
    expect(await entriesOf(runId)).toEqual(['step-started', 'step-ended unknown']);
  });

  it('tells the successor that the run was cancelled since', async () => {
    const runId = await runningRun();
    await start(attemptOf(runId, 11, { effect: 'idempotent' }));
    await stack.dataSource.transaction((transaction) => requestCancel(transaction, runId, 'tester', null));
    expect(await start(attemptOf(runId, 22))).toMatchObject({
      ...{ kind: 'interrupted', effect: 'idempotent', isOpen: false },
    });
  });

  /** As a resumed run has an attempt that a person let be made again. */
  async function carriedRun(): Promise<string> {
    const runId = await runningRun();
    await stack.dataSource.query(
      `INSERT INTO run_step (run_id, asset_id, step, phase, generation, lane_epoch, token, effect, state, started_at, carried_from)
       VALUES ($1, $2, 'a', 'do', 1, $3, 'earlier', 'mutating', 'started', now(), $1)`,
      [runId, NIL_ASSET_ID, NO_EPOCH],
    );
    return runId;
  }

  it('lets an attempt of an earlier run be made again once, under its token, and judges it like any other when that is lost', async () => {
    const runId = await carriedRun();
    const attempts = Array.from({ length: 5 }, (_, index) => attemptOf(runId, index + 1));
    const starts = await Promise.all(attempts.map(start));
    expect(starts.filter(({ kind }) => kind === 'fresh')).toEqual([
      { kind: 'fresh', token: 'earlier', tokenRunId: runId },
    ]);
    const interrupted = { kind: 'interrupted', effect: 'mutating', isOpen: true, token: 'earlier', tokenRunId: runId };
    expect(starts.filter(({ kind }) => kind !== 'fresh')).toEqual(Array.from({ length: 4 }, () => interrupted));
    expect(await start(attemptOf(runId, 6, { effect: 'idempotent' }))).toEqual(interrupted);
    const other = await carriedRun();
    expect(await start(attemptOf(other, 1, { effect: 'read-only' }))).toMatchObject({ kind: 'fresh' });
    // Whose answer was lost asks again.
    expect(await start(attemptOf(other, 1, { effect: 'read-only' }))).toMatchObject({ kind: 'fresh' });
    expect(await start(attemptOf(other, 2))).toMatchObject({ kind: 'interrupted', effect: 'read-only' });
    const cancelled = await carriedRun();
    await stack.dataSource.transaction((transaction) => requestCancel(transaction, cancelled, 'tester', null));
    expect(await start(attemptOf(cancelled, 1))).toMatchObject({
      kind: 'interrupted',
      effect: 'mutating',
      isOpen: false,
    });
  });

  it('knows its own start and end again when their answers were lost', async () => {
    const runId = await runningRun();
    const attempt = attemptOf(runId, 11);
    expect(await start(attempt)).toEqual({ kind: 'fresh', token: 't', tokenRunId: runId });
    expect(await start(attempt)).toEqual({ kind: 'fresh', token: 't', tokenRunId: runId });
    await end(attempt, succeeded);
    await end(attempt, succeeded);
    expect(await entriesOf(runId)).toEqual(['step-started', 'step-ended succeeded']);
    const rows: unknown[] = await stack.dataSource.query(
      `SELECT state, effect, output, lane_epoch, ended_at > started_at AS later FROM run_step WHERE run_id = $1`,
      [runId],
    );
    expect(rows).toEqual([
      { state: 'succeeded', effect: 'mutating', output: { status: 200 }, lane_epoch: 11, later: true },
    ]);
  });

  it('starts nothing in a run that was cancelled, has ended or is not there, and ends what was decided without a start', async () => {
    const cancelled = await runningRun();
    await stack.dataSource.transaction((transaction) => requestCancel(transaction, cancelled, 'tester', null));
    expect(await start(attemptOf(cancelled, 1))).toEqual({ kind: 'refused' });
    const over = await runningRun();
    const skipped = attemptOf(over, NO_EPOCH, { effect: 'none' });
    await end(skipped, { state: 'skipped', error: null, output: null });
    await end(skipped, { state: 'skipped', error: null, output: null });
    expect(await entriesOf(over)).toEqual(['step-ended skipped']);
    await stack.dataSource.transaction((transaction) => endRun(transaction, over, 'succeeded', null));
    expect(await start(attemptOf(over, 1, { step: 'b' }))).toEqual({ kind: 'refused' });
    await expect(start(attemptOf('00000000-0000-7000-8000-000000000000', 1))).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  it('lets exactly one of many that start at the same time be the first, and one of them end it', async () => {
    const runId = await runningRun();
    const attempts = Array.from({ length: 5 }, (_, index) => attemptOf(runId, index + 1));
    const kinds = (await Promise.all(attempts.map(start))).map((started) => started.kind);
    expect(kinds.filter((kind) => kind === 'fresh')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'interrupted')).toHaveLength(4);
    const ends = await Promise.allSettled(attempts.map((attempt) => end(attempt, succeeded)));
    expect(ends.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    expect(await entriesOf(runId)).toEqual(['step-started', 'step-ended succeeded']);
    const numbers: { seq: number }[] = await stack.dataSource.query(`SELECT seq FROM entry WHERE run_id = $1`, [runId]);
    expect(new Set(numbers.map((row) => row.seq)).size).toBe(numbers.length);
  });
});
