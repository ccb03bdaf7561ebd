import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endLostRun, resumeRun } from '@fettle/operations';
import { startChangedWorker } from '../support/broken-worker.js';
import { until } from '../support/detached.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { hangs, onAll, statesOf, step, stepLogs, stepsOf } from '../support/step-logs.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let worker: WorkerProcess;
const LONG_MS = 120_000;

beforeAll(async () => {
  [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  await stack.addHosts(sshd, 3);
  worker = await stack.startWorker();
}, LONG_MS);
afterAll(async () => {
  await worker?.stop('SIGKILL');
  await sshd?.stop();
  await stack?.close();
});

const { linesOf, letGo, start, cancel, come, kindsOf } = stepLogs(
  () => stack,
  () => sshd,
);

/** The worker dies, and the run is given up. */
async function lose(runId: string): Promise<void> {
  await worker.stop('SIGKILL');
  await stack.inTransaction(({ transaction }) =>
    endLostRun(
      transaction,
      { runId, space: 'default', cancelRequested: false },
      { state: 'failed', code: 'run-lost', message: 'its workflow is gone' },
    ),
  );
}

describe('a finally after a cancel, in other places', () => {
  it(
    'is gone through in called runs, and by a run that is out of time',
    async () => {
      const log = 'called';
      const guard = { id: 'guard', try: [hangs(log, 'work')], finally: [step(log, 'clean')] };
      const own = { targets: 'asset.labels.group == "host"', rollback: 'nothing', steps: [guard], timeout: '15s' };
      await stack.addRunbook('called-guard', own);
      await stack.addRunbook('called-guard-2', { ...own, timeout: '10m' });
      const id = await start(log, [
        { id: 'late', call: { runbook: 'called-guard' }, onError: 'continue' },
        { id: 'again', call: { runbook: 'called-guard-2' } },
      ]);
      await come(log, onAll('work', 'clean'));
      await until(
        'called again',
        async () => (await linesOf(log)).filter((line) => line.startsWith('work')).length >= 6,
      );
      await cancel(id);
      const run = await stack.ended(id, LONG_MS);
      expect(run.state).toBe('cancelled');
      expect(run.controlSteps.map(({ step: path, state, error }) => [path, state, error?.code])).toEqual([
        ['late', 'failed', 'sub-run-timed-out'],
        ['again', 'cancelled', undefined],
      ]);
      expect(await linesOf(log)).toEqual(onAll('work', 'work', 'clean', 'clean'));
    },
    LONG_MS,
  );

  it(
    'is ended after its time, on the hosts too, and what is left is said',
    async () => {
      const log = 'late';
      await worker.stop();
      // The same worker, but that a finally has twelve seconds instead of minutes.
      worker = await startChangedWorker(stack.environment, {
        is: /return Math\.min\(longestMs, rounds \*/,
        becomes: 'return Math.min(12_000, rounds *',
      });
      try {
        const id = await start(log, [
          {
            id: 'guard',
            try: [hangs(log, 'work')],
            finally: [
              hangs(log, 'clean', {
                if: 'asset.name == "host-000"',
                timeout: '1s',
                retry: { maxAttempts: 20, backoff: '1s' },
              }),
              hangs(log, 'detached', { if: 'asset.name == "host-001"' }, { detached: true }),
              step(log, 'clean2', '[ "$2" = host-002 ]'),
            ],
          },
        ]);
        await come(log, onAll('work'));
        await cancel(id);
        const run = await stack.ended(id, LONG_MS);
        expect([run.state, ...statesOf(run)]).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
        expect(run.targets.map(({ finallyLeft }) => finallyLeft)).toEqual([
          expect.arrayContaining(['detached', 'clean2']),
          ['clean2'],
          undefined,
        ]);
        expect(stepsOf(run, 'host-001').at(-1)).toBe('detached=cancelled');
        const lines = await linesOf(log);
        await letGo(log, 'clean');
        await letGo(log, 'detached');
        await sleep(1000);
        // Nothing of it runs on.
        expect(await linesOf(log)).toEqual(lines);
      } finally {
        await worker.stop();
        worker = await stack.startWorker();
      }
    },
    LONG_MS,
  );

  it(
    'is told where the run is lost in the middle of a try',
    async () => {
      const log = 'lost';
      const id = await start(log, [
        step(log, 'before'),
        { id: 'guard', try: [hangs(log, 'work')], finally: [step(log, 'clean')] },
      ]);
      await come(log, ['work host-000']);
      await lose(id);
      const run = await stack.run(id);
      const begun = run.targets.filter(({ steps }) => steps.some(({ step: path }) => path === 'work'));
      expect(begun.length).toBeGreaterThan(0);
      for (const { state, finallyLeft } of begun) expect([state, finallyLeft]).toEqual(['unknown', ['clean']]);
      expect(await kindsOf(id)).toContain('finally-not-run');
      worker = await stack.startWorker();
    },
    LONG_MS,
  );

  it(
    'is told in the second round of a loop of those alone that have begun with its try, and with the state that they end in',
    async () => {
      const log = 'rounds';
      const held = `[ "$4" = one ] || while [ ! -e "$HOME/$3.go" ]; do sleep 0.2; done`;
      const input = { arguments: ['work', '${{ asset.name }}', log, '${{ item.round }}'] };
      const guard = {
        id: 'guard',
        try: [step(log, 'work', held, { timeout: '120s' }, { ...input, detached: false })],
        finally: [step(log, 'clean')],
      };
      const id = await start(log, [{ id: 'rounds', forEach: { items: ['one', 'two'], as: 'round', steps: [guard] } }], {
        rollout: { maxConcurrency: 1 },
      });
      await until(
        'the second round',
        async () => (await linesOf(log)).filter((line) => line.startsWith('work')).length > 3,
      );
      await lose(id);
      const run = await stack.run(id);
      const left = run.targets.map(({ state, finallyLeft }) => `${state} ${(finallyLeft ?? []).join()}`);
      expect(left.sort()).toEqual(['cancelled ', 'cancelled ', 'unknown clean']);
      const told: { kind: string; state: string }[] = await stack.dataSource.query(
        `SELECT e.kind, e.data->>'state' AS state FROM entry e WHERE e.run_id = $1 AND e.kind IN ('finally-not-run', 'target-ended')
           AND e.asset_id IN (SELECT asset_id FROM entry WHERE run_id = $1 AND kind = 'finally-not-run') ORDER BY e.seq`,
        [id],
      );
      expect(told).toEqual([
        { kind: 'finally-not-run', state: 'unknown' },
        { kind: 'target-ended', state: 'unknown' },
      ]);
      worker = await stack.startWorker();
    },
    LONG_MS,
  );

  it(
    'goes on alone where the run ended in the middle of it and its try had come through',
    async () => {
      const log = 'alone';
      const onFirst = 'asset.name == "host-000"';
      const once = '[ -e "$HOME/$3.go-$1" ]';
      const id = await start(
        log,
        [
          {
            id: 'guard',
            try: [step(log, 'work')],
            finally: [
              hangs(log, 'held', { if: onFirst }, { effect: 'idempotent' }),
              step(log, 'fails', once, { retry: { maxAttempts: 5, backoff: '10m' } }),
              step(log, 'clean'),
            ],
          },
          step(log, 'after'),
        ],
        { rollout: { strategy: 'free' } },
      );
      await come(log, ['held host-000', 'fails host-001', 'fails host-002']);
      await until('two wait for another attempt', async () => {
        const run = await stack.run(id);
        const states = run.targets.flatMap(({ asset }) => stepsOf(run, asset));
        return states.filter((one) => one === 'fails=failed').length === 2;
      });
      await lose(id);
      const lost = await stack.run(id);
      expect(statesOf(lost)).toEqual(['cancelled', 'cancelled', 'cancelled']);
      expect(stepsOf(lost, 'host-000')).toEqual(['work=succeeded', 'held=cancelled']);
      worker = await stack.startWorker();
      await letGo(log, 'held');
      await letGo(log, 'fails');
      const { id: next } = await stack.inTransaction((context) =>
        resumeRun(context, id, { targets: 'unfinished', rerunUnknown: false }),
      );
      const resumed = await stack.ended(next, LONG_MS);
      expect([resumed.state, ...statesOf(resumed)]).toEqual(['succeeded', 'succeeded', 'succeeded', 'succeeded']);
      const lines = await linesOf(log);
      const of = (...names: string[]): string[] => lines.filter((line) => names.includes(line.split(' ')[0]!));
      // The body is not done again, and nothing behind the place where it stopped is left out.
      expect(of('work', 'clean', 'after')).toEqual(onAll('work', 'clean', 'after'));
      expect(of('fails')).toEqual([...onAll('fails'), 'fails host-001', 'fails host-002'].sort());
    },
    LONG_MS,
  );
});
