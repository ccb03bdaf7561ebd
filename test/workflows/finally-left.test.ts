import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endLostRun } from '@fettle/operations';
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

describe('a finally after a cancel, in other places', () => {
  it(
    'is gone through in called runs, and by a run that is out of time',
    async () => {
      const log = 'called';
      const guard = { id: 'guard', try: [hangs(log, 'work')], finally: [step(log, 'clean')] };
      const own = { targets: 'asset.labels.group == "host"', rollback: 'nothing', steps: [guard], timeout: '4s' };
      await stack.addRunbook('called-guard', own);
      const id = await start(log, [
        { id: 'late', call: { runbook: 'called-guard' }, onError: 'continue' },
        { id: 'again', call: { runbook: 'called-guard' } },
      ]);
      await come(log, onAll('work', 'clean'));
      await until(
        'called again',
        async () => (await linesOf(log)).filter((line) => line.startsWith('work')).length === 6,
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
      // The same worker, but that a finally has three seconds instead of minutes.
      worker = await startChangedWorker(stack.environment, {
        is: /return Math\.min\(longestMs, rounds \*/,
        becomes: 'return Math.min(3000, rounds *',
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
      await worker.stop('SIGKILL');
      await stack.inTransaction(({ transaction }) =>
        endLostRun(
          transaction,
          { runId: id, space: 'default', cancelRequested: false },
          { state: 'failed', code: 'run-lost', message: 'its workflow is gone' },
        ),
      );
      const run = await stack.run(id);
      const begun = run.targets.filter(({ steps }) => steps.some(({ step: path }) => path === 'work'));
      expect(begun.length).toBeGreaterThan(0);
      for (const { state, finallyLeft } of begun) expect([state, finallyLeft]).toEqual(['unknown', ['clean']]);
      expect(await kindsOf(id)).toContain('finally-not-run');
      worker = await stack.startWorker();
    },
    LONG_MS,
  );
});
