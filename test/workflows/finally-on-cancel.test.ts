import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resumeRun } from '@fettle/operations';
import { until } from '../support/detached.js';
import { ScriptedService } from '../support/scripted-service.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { hangs, onAll, statesOf, step, stepLogs, stepsOf } from '../support/step-logs.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let service: ScriptedService;
let worker: WorkerProcess;
const LONG_MS = 120_000;

beforeAll(async () => {
  [stack, sshd, service] = await Promise.all([TestStack.create(), startSshd(), ScriptedService.start()]);
  await stack.addHosts(sshd, 3);
  worker = await stack.startWorker();
}, LONG_MS);
afterAll(async () => {
  await worker?.stop('SIGKILL');
  await sshd?.stop();
  await service?.close();
  await stack?.close();
});

const { linesOf, letGo, start, cancel, come, kindsOf } = stepLogs(
  () => stack,
  () => sshd,
);

describe('a cancel, and the finally of targets', () => {
  it(
    'is gone through by targets in flight and between two steps, past the catch, and by none that had not begun',
    async () => {
      const log = 'body';
      const id = await start(
        log,
        [
          step(log, 'before'),
          {
            id: 'guard',
            try: [
              step(log, 'enter'),
              // The last host does not come to it, and waits for the others between two steps.
              hangs(log, 'work', { if: 'asset.name != "host-001"' }),
              step(log, 'never'),
            ],
            catch: [step(log, 'caught')],
            finally: [step(log, 'clean'), step(log, 'clean2')],
          },
          step(log, 'after'),
        ],
        { rollout: { waves: [2, '100%'], orderBy: 'asset.name' } },
      );
      await come(log, ['work host-000']);
      await cancel(id);
      const run = await stack.ended(id, LONG_MS);
      expect([run.state, ...statesOf(run)]).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
      const two = (name: string): string[] => [`${name} host-000`, `${name} host-001`];
      expect(await linesOf(log)).toEqual(
        [...['before', 'enter', 'clean', 'clean2'].flatMap(two), 'work host-000'].sort(),
      );
      const way = ['before=succeeded', 'enter=succeeded', 'work=cancelled', 'clean=succeeded', 'clean2=succeeded'];
      expect(stepsOf(run, 'host-000')).toEqual(way);
      expect(stepsOf(run, 'host-001')).toEqual(way.map((one) => one.replace('cancelled', 'skipped')));
      expect(stepsOf(run, 'host-002')).toEqual([]);
      expect(run.targets.every(({ finallyLeft }) => finallyLeft === undefined)).toBe(true);
      expect(await kindsOf(id)).not.toContain('finally-not-run');
    },
    LONG_MS,
  );

  /** On the first host the cancel comes in the middle of the body, on the others in the middle of the finally. */
  async function cancelledUnderWay(log: string, clean: object): Promise<string> {
    const id = await start(
      log,
      [
        {
          id: 'guard',
          try: [step(log, 'enter'), hangs(log, 'work', { if: 'asset.name == "host-000"' })],
          finally: [hangs(log, 'clean', {}, clean), step(log, 'clean2')],
        },
        step(log, 'after'),
      ],
      { rollout: { strategy: 'free' } },
    );
    await come(log, ['work host-000', 'clean host-001', 'clean host-002']);
    await cancel(id);
    await until('the cancel has stopped what it stops', async () => {
      const rows: { state: string }[] = await stack.dataSource.query(
        `SELECT state FROM run_step WHERE run_id = $1 AND step = 'work' AND state = 'cancelled'`,
        [id],
      );
      return rows.length === 1;
    });
    return id;
  }
  const afterwards = (log: string, begun: string[]): Promise<void> =>
    linesOf(log).then((lines) => {
      const done = onAll('clean').map((line) => `${line} done`);
      expect(lines).toEqual([...onAll('enter', 'clean2'), 'work host-000', ...begun, ...done].sort());
    });

  it.each([
    ['on its connection', {}],
    ['detached', { detached: true }],
  ])(
    'does not stop one that is under way %s, and leaves the steps after the try alone',
    async (how, input) => {
      const log = `under-way-${how.split(' ')[0]!}`;
      const id = await cancelledUnderWay(log, input);
      expect((await stack.run(id)).state).toBe('running');
      await letGo(log, 'clean');
      const run = await stack.ended(id, LONG_MS);
      expect([run.state, ...statesOf(run)]).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
      await afterwards(log, onAll('clean'));
    },
    LONG_MS,
  );

  it(
    'goes on with one that was under way at the cancel, and whose worker is killed then',
    async () => {
      const log = 'under-way-killed';
      const id = await cancelledUnderWay(log, { effect: 'idempotent' });
      await worker.stop('SIGKILL');
      worker = await stack.startWorker();
      // Begun once more, under the same token.
      await come(log, ['clean host-000']);
      await until(
        'begun again',
        async () => (await linesOf(log)).filter((line) => line.startsWith('clean host')).length >= 5,
      );
      await letGo(log, 'clean');
      const run = await stack.ended(id, LONG_MS);
      expect([run.state, ...statesOf(run)]).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
      expect((await linesOf(log)).filter((line) => line.startsWith('clean2'))).toEqual(onAll('clean2'));
    },
    LONG_MS,
  );

  it(
    'is gone through where only a branch is cancelled',
    async () => {
      const log = 'branch';
      const guarded = {
        id: 'guard',
        try: [hangs(log, 'work'), step(log, 'never')],
        finally: [step(log, 'clean')],
      };
      // The other branch fails when each host is at work, however long that takes.
      service.script('/fails', () => ({ status: 500, after: come(log, onAll('work')) }));
      const fails = { id: 'fails', uses: 'http.request', with: { url: service.url('/fails') }, timeout: '110s' };
      const id = await start(log, [{ id: 'both', parallel: { one: [guarded], two: [fails] }, failFast: true }]);
      const run = await stack.ended(id, LONG_MS);
      expect([run.state, run.error?.code, ...statesOf(run)]).toEqual([
        'failed',
        'http-status',
        'cancelled',
        'cancelled',
        'cancelled',
      ]);
      expect(await linesOf(log)).toEqual(onAll('work', 'clean'));
    },
    LONG_MS,
  );

  it(
    'goes on after its worker was killed, and says what did not run where nobody knows',
    async () => {
      const log = 'killed';
      const onFirst = 'asset.name == "host-000"';
      const id = await start(log, [
        {
          id: 'guard',
          try: [hangs(log, 'work')],
          finally: [
            hangs(log, 'clean', { if: `!(${onFirst})` }, { effect: 'idempotent' }),
            hangs(log, 'once', { if: onFirst }),
            step(log, 'clean2'),
          ],
        },
      ]);
      await come(log, onAll('work'));
      await cancel(id);
      await come(log, ['clean host-001', 'clean host-002', 'once host-000']);
      await worker.stop('SIGKILL');
      worker = await stack.startWorker();
      await letGo(log, 'clean');
      await letGo(log, 'once');
      const run = await stack.ended(id, LONG_MS);
      expect([run.state, ...statesOf(run)]).toEqual(['cancelled', 'unknown', 'cancelled', 'cancelled']);
      expect(run.targets.map(({ finallyLeft }) => finallyLeft ?? [])).toEqual([['clean2'], [], []]);
      expect(await kindsOf(id)).toContain('finally-not-run');
      const lines = await linesOf(log);
      expect(lines.filter((line) => line.startsWith('clean2'))).toEqual(['clean2 host-001', 'clean2 host-002']);
    },
    LONG_MS,
  );

  it(
    'a run that takes it up does the whole try again, and not one that had come through',
    async () => {
      const log = 'taken-up';
      const id = await start(log, [
        { id: 'first', try: [step(log, 'a')], finally: [step(log, 'a_clean')] },
        {
          id: 'second',
          try: [step(log, 'b'), hangs(log, 'work', { if: 'asset.name == "host-000"' }), step(log, 'c')],
          finally: [step(log, 'b_clean')],
        },
        step(log, 'after'),
      ]);
      await come(log, ['work host-000']);
      await cancel(id);
      const first = await stack.ended(id, LONG_MS);
      expect(first.state).toBe('cancelled');
      expect(await linesOf(log)).toEqual([...onAll('a', 'a_clean', 'b', 'b_clean'), 'work host-000'].sort());
      await letGo(log, 'work');
      const { id: next } = await stack.inTransaction((context) =>
        resumeRun(context, id, { targets: 'unfinished', rerunUnknown: false }),
      );
      const resumed = await stack.ended(next, LONG_MS);
      expect([resumed.state, ...statesOf(resumed)]).toEqual(['succeeded', 'succeeded', 'succeeded', 'succeeded']);
      const again = ['b', 'c', 'b_clean', 'after'];
      expect(await linesOf(log)).toEqual(
        [
          ...onAll('a', 'a_clean', 'b', 'b_clean', ...again),
          ...['work host-000', 'work host-000', 'work host-000 done'],
        ].sort(),
      );
    },
    LONG_MS,
  );
});
