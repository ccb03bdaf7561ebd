import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

const HOSTS = 40;
const LIMIT = 7;
/** More than one lane has slots for, so that two lanes compete for the last place. */
const WIDE_LIMIT = 101;
const MANY_HOSTS = 125;

interface Interval {
  readonly from: Date;
  readonly to: Date;
}

/** The most intervals that hold one moment in common; an end and a beginning at the same moment do not overlap. */
function mostAtOnce(intervals: readonly Interval[]): number {
  const changes = intervals.flatMap(({ from, to }) => [
    { at: from.getTime(), by: 1 },
    { at: to.getTime(), by: -1 },
  ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  let most = 0;
  for (const { by } of changes) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

describe(`at most ${LIMIT} of ${HOSTS} hosts at once`, () => {
  let stack: TestStack;
  let sshd: Sshd;
  const workers: WorkerProcess[] = [];

  beforeAll(async () => {
    [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
    await stack.addHosts(sshd, HOSTS);
    await stack.addHosts(sshd, MANY_HOSTS, { prefix: 'many', first: HOSTS });
    await stack.addRunbook('wide', {
      targets: 'asset.labels.group == "many"',
      rollout: { maxConcurrency: WIDE_LIMIT },
      steps: [{ id: 'one', uses: 'ssh.run', with: { argv: ['sleep', '4'] } }],
    });
    await stack.addRunbook('limited', {
      targets: 'asset.labels.group == "host"',
      rollout: { maxConcurrency: LIMIT },
      steps: ['one', 'two'].map((id) => ({ id, uses: 'ssh.run', with: { argv: ['sleep', '0.2'] } })),
    });
  }, 120_000);

  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await sshd?.stop();
    await stack?.close();
  });

  function journal(runId: string): Promise<Interval[]> {
    return stack.dataSource.query(`SELECT started_at AS from, ended_at AS to FROM run_step WHERE run_id = $1`, [runId]);
  }

  async function lanesOf(runId: string): Promise<string> {
    const rows: { number: number; worker: string }[] = await stack.dataSource.query(
      `SELECT number, worker FROM lane WHERE run_id = $1 ORDER BY number`,
      [runId],
    );
    return rows.map((row) => `lane ${row.number} on ${row.worker}`).join(', ');
  }

  it.each([1, 2])(
    'holds with %i workers and three runs, by the journal',
    async (count) => {
      while (workers.length < count) workers.push(await stack.startWorker());
      // Each run has the limit for itself; several of them make the workers share them.
      const started = await Promise.all(Array.from({ length: 3 }, () => stack.start('limited')));
      for (const { id } of started) {
        const run = await stack.ended(id, 90_000);
        expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: HOSTS } });
        const steps: Interval[] = await stack.dataSource.query(
          `SELECT started_at AS from, ended_at AS to FROM run_step WHERE run_id = $1`,
          [id],
        );
        expect(steps).toHaveLength(HOSTS * 2);
        const most = mostAtOnce(steps);
        const names: { worker: string }[] = await stack.dataSource.query(
          `SELECT DISTINCT worker FROM lane WHERE run_id = $1`,
          [id],
        );
        process.stderr.write(
          `${count} workers: ${most} at once, lanes on ${names.map((row) => row.worker).join(', ')}\n`,
        );
        expect(most).toBeLessThanOrEqual(LIMIT);
        // A limit that is never reached would prove nothing.
        expect(most).toBeGreaterThanOrEqual(LIMIT - 1);
      }
    },
    180_000,
  );

  it(`holds at ${WIDE_LIMIT} where two lanes compete`, async () => {
    const { id } = await stack.start('wide');
    const run = await stack.ended(id, 150_000);
    expect(run).toMatchObject({ state: 'succeeded', counts: { succeeded: MANY_HOSTS } });
    const most = mostAtOnce(await journal(id));
    const lanes = await lanesOf(id);
    process.stderr.write(`${WIDE_LIMIT} of ${MANY_HOSTS} hosts: ${most} at once, ${lanes}\n`);
    expect(lanes).toMatch(/lane 0 .*lane 1 /);
    expect(most).toBeLessThanOrEqual(WIDE_LIMIT);
    // More than one lane could have had at once by itself.
    expect(most).toBeGreaterThan(100);
  }, 180_000);
});
