import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runSummarySchema, type RunDetail, type RunSummary } from '@fettle/contracts';
import { readExpectedMs } from '@fettle/database';
import { applyDocuments, cancelRun, planRun, retryRun, startRun, type OperationContext } from '@fettle/operations';
import { startSshd, type Sshd } from '../support/sshd.js';
import { TestStack, type WorkerProcess } from '../support/stack.js';

let stack: TestStack;
let sshd: Sshd;
let worker: WorkerProcess;

const SECOND = 1000;
const iso = (fromNowMs: number): string => `${new Date(Date.now() + fromNowMs).toISOString().slice(0, 19)}Z`;

function apply(name: string, spec: object): Promise<unknown> {
  const source = JSON.stringify({ apiVersion: 'fettle/v1', kind: 'Calendar', metadata: { name }, spec });
  return stack.inTransaction((context) => applyDocuments(context, { source }));
}

/** A calendar of the assets with a label `group`, which is open from and to so many seconds from now. */
function openFor(group: string, fromSeconds: number, toSeconds: number): Promise<unknown> {
  const windows = [{ from: iso(fromSeconds * SECOND), to: iso(toSeconds * SECOND) }];
  return apply(`of-${group}`, { assets: `asset.labels.group == "${group}"`, windows });
}

type Request = Partial<Parameters<typeof startRun>[1]>;
function start(runbook: string, request: Request = {}, options = {}): Promise<RunSummary> {
  return stack.inTransaction((context) =>
    startRun(context, { space: 'default', runbook, inputs: {}, allowEmpty: false, ...request }, options),
  );
}

async function entries(runId: string, ...kinds: string[]): Promise<{ kind: string; data: Record<string, unknown> }[]> {
  return stack.dataSource.query(`SELECT kind, data FROM entry WHERE run_id = $1 AND kind = ANY ($2) ORDER BY seq`, [
    runId,
    kinds,
  ]);
}

async function until(what: () => Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const giveUpAtMs = Date.now() + timeoutMs;
  while (!(await what())) {
    if (Date.now() > giveUpAtMs) throw new Error('it never came to it');
    await sleep(100);
  }
}

/** When the first attempt on each target began, by name. */
async function begins(runId: string): Promise<Map<string, number>> {
  const rows: { asset_name: string; at: Date }[] = await stack.dataSource.query(
    `SELECT t.asset_name, min(s.started_at) AS at FROM run_step s JOIN run_target t ON t.run_id = s.run_id AND t.asset_id = s.asset_id
     WHERE s.run_id = $1 GROUP BY 1`,
    [runId],
  );
  return new Map(rows.map((row) => [row.asset_name, row.at.getTime()]));
}

const change = (id: string, seconds = 0) => ({
  id,
  uses: 'ssh.run',
  with: { argv: ['sleep', String(seconds)], effect: 'mutating' },
});
const on = (...groups: string[]) => `asset.labels.group in [${groups.map((group) => `"${group}"`).join(', ')}]`;

beforeAll(async () => {
  [stack, sshd] = await Promise.all([TestStack.create(), startSshd()]);
  let first = 0;
  for (const prefix of ['shut', 'open', 'soon', 'park', 'short', 'moved', 'late', 'gone', 'tidy']) {
    await stack.addHosts(sshd, 2, { prefix, first });
    first += 2;
  }
  worker = await stack.startWorker();
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await sshd?.stop();
  await stack?.close();
});

describe('a run outside of its calendars', () => {
  beforeAll(async () => {
    await openFor('shut', 3600, 7200);
    await stack.addRunbook('change', { targets: on('shut'), steps: [change('do')] });
    await stack.addRunbook('look', {
      targets: on('shut'),
      steps: [{ id: 'look', uses: 'ssh.run', with: { argv: ['true'], effect: 'read-only' } }],
    });
  });

  it('is refused, with the calendar and its next opening, however it is started', async () => {
    const refused = { code: 'calendar-closed', detail: { calendar: 'of-shut', reason: 'window' } };
    await expect(start('change')).rejects.toMatchObject(refused);
    await expect(start('change', {}, { fire: undefined })).rejects.toMatchObject(refused);
    const overridden = await start('change', { overrideCalendar: 'once' });
    await stack.ended(overridden.id);
    const retry = stack.inTransaction((context) =>
      retryRun(context, overridden.id, { targets: 'all', rerunUnknown: false }),
    );
    await expect(retry).rejects.toMatchObject(refused);
  });

  it('goes on with a reason, which stands in the run and in the audit log', async () => {
    const run = await start('change', { overrideCalendar: 'the disk is full' });
    expect(runSummarySchema.safeParse(run).success).toBe(true);
    const ended = await stack.ended(run.id);
    expect(ended).toMatchObject({
      state: 'succeeded',
      calendar: { override: { by: 'tester', reason: 'the disk is full' } },
    });
    expect(await entries(run.id, 'calendar-overridden')).toHaveLength(1);
    const records: { action: string; detail: { reason: string } }[] = await stack.dataSource.query(
      `SELECT r->>'action' AS action, r->'detail' AS detail FROM audit_record, LATERAL (SELECT to_jsonb(audit_record) AS r) AS j
       WHERE r->>'action' = 'calendar.override' ORDER BY id DESC LIMIT 1`,
    );
    expect(records).toMatchObject([{ action: 'calendar.override' }]);
  });

  it('is not overridden by somebody without the right to it', async () => {
    const narrowed = (context: OperationContext): OperationContext => ({
      ...context,
      scopeOf: (permission) => (permission === 'calendar:override' ? [] : null),
    });
    const started = stack.inTransaction((context) =>
      startRun(narrowed(context), {
        space: 'default',
        runbook: 'change',
        inputs: {},
        allowEmpty: false,
        overrideCalendar: 'please',
      }),
    );
    await expect(started).rejects.toMatchObject({ code: 'denied' });
  });

  it('is not held where it only looks', async () => {
    expect(await stack.ended((await start('look')).id)).toMatchObject({ state: 'succeeded' });
  });

  it('is shown as closed by its plan', async () => {
    const plan = await stack.inTransaction((context) =>
      planRun(context, { space: 'default', runbook: 'change', inputs: {}, allowEmpty: false }),
    );
    expect(plan.calendar).toMatchObject({
      state: { isOpen: false, closedBy: { calendar: 'of-shut' } },
      closed: [{ calendar: 'of-shut', reason: 'window', targets: 2, example: 'shut-000' }],
    });
    const look = await stack.inTransaction((context) =>
      planRun(context, { space: 'default', runbook: 'look', inputs: {}, allowEmpty: false }),
    );
    expect(look.calendar).toBeUndefined();
  });
});

async function cancelAndWait(runId: string): Promise<RunDetail> {
  await stack.inTransaction((context) => cancelRun(context, runId, {}));
  return stack.ended(runId);
}

describe('a run that waits', () => {
  it('begins with nothing before the opening, and its timeout stands still', async () => {
    const opensAtMs = Date.now() + 8 * SECOND;
    await openFor('soon', 8, 3600);
    await stack.addRunbook('waits', { targets: on('soon'), timeout: '5s', steps: [change('do')] });
    const run = await start('waits', { whenClosed: 'wait' });
    await until(async () => (await stack.run(run.id)).calendar?.closedSince != null);
    const ended = await stack.ended(run.id);
    expect(ended).toMatchObject({ state: 'succeeded', counts: { succeeded: 2 } });
    for (const at of (await begins(run.id)).values()) expect(at).toBeGreaterThanOrEqual(opensAtMs - SECOND);
    const told = await entries(run.id, 'run-closed', 'run-reopened');
    expect(told.map(({ kind }) => kind)).toEqual(['run-closed', 'run-reopened']);
    expect(told[0]?.data).toMatchObject({ calendar: 'of-soon', reason: 'window' });
  });

  it('can be cancelled meanwhile', async () => {
    const run = await start('change', { whenClosed: 'wait' });
    await until(async () => (await stack.run(run.id)).calendar?.closedSince != null);
    expect(await cancelAndWait(run.id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 2 } });
    expect((await begins(run.id)).size).toBe(0);
  });

  it('begins as soon as somebody opens its calendar', async () => {
    await openFor('moved', 3600, 7200);
    await stack.addRunbook('moves', { targets: on('moved'), steps: [change('do')] });
    const run = await start('moves', { whenClosed: 'wait' });
    await until(async () => (await stack.run(run.id)).calendar?.closedSince != null);
    await openFor('moved', -60, 7200);
    expect(await stack.ended(run.id, 30_000)).toMatchObject({ state: 'succeeded' });
  });
});

describe('targets of one run', () => {
  it('wait each for its own calendar, while others go to their end', async () => {
    const opensAtMs = Date.now() + 8 * SECOND;
    await openFor('late', 8, 3600);
    await stack.addRunbook('mixed', {
      targets: on('late', 'open'),
      timeout: '20s',
      steps: [change('one'), change('two')],
    });
    const run = await start('mixed');
    expect((await entries(run.id, 'targets-closed'))[0]?.data).toMatchObject({ calendar: 'of-late', targets: 2 });
    await until(async () => (await stack.run(run.id)).counts.succeeded === 2);
    const waiting = await stack.run(run.id);
    const late = waiting.targets.filter(({ asset }) => asset.startsWith('late'));
    expect(late).toHaveLength(2);
    for (const target of late)
      expect(target).toMatchObject({ state: 'pending', closed: { calendar: 'of-late', reason: 'window' } });
    expect(waiting.calendar).toMatchObject({ waiting: 2 });
    const ended = await stack.ended(run.id);
    expect(ended).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } });
    expect(ended.targets.some(({ closed }) => closed !== undefined)).toBe(false);
    for (const [name, at] of await begins(run.id)) {
      if (name.startsWith('late')) expect(at).toBeGreaterThanOrEqual(opensAtMs - SECOND);
      else expect(at).toBeLessThan(opensAtMs);
    }
  });

  it('go on as soon as somebody opens their calendar', async () => {
    await openFor('shut', 3600, 7200);
    await stack.addRunbook('partly', { targets: on('shut', 'open'), steps: [change('do')] });
    const run = await start('partly');
    await until(async () => (await stack.run(run.id)).calendar?.closedSince != null);
    // The lane has gone to rest: only a timer of an hour would have it look.
    await sleep(3 * SECOND);
    await openFor('shut', -60, 3600);
    expect(await stack.ended(run.id, 30_000)).toMatchObject({ state: 'succeeded', counts: { succeeded: 4 } });
    const told = await entries(run.id, 'run-closed', 'run-reopened');
    expect(told.map(({ kind }) => kind)).toEqual(['run-closed', 'run-reopened']);
    // How long the runbook takes is told without the time that it stood still.
    const [row]: [{ closedMs: number; tookMs: number }] = await stack.dataSource.query(
      `SELECT closed_ms::float8 AS "closedMs", (extract(epoch FROM ended_at - started_at) * 1000)::float8 AS "tookMs" FROM run WHERE id = $1`,
      [run.id],
    );
    expect(Math.abs(row.closedMs - Number(told[1]?.data['waitedMs']))).toBeLessThan(50);
    expect(row.closedMs).toBeGreaterThan(2 * SECOND);
    const expectedMs = await readExpectedMs(stack.dataSource.manager, 'default', 'partly');
    expect(Math.abs(row.tookMs - row.closedMs - expectedMs!)).toBeLessThan(2);
  });

  it('that have begun go to their end when it closes, or park before their next step', async () => {
    const steps = [change('one', 4), change('two')];
    await stack.addRunbook('finishes', { targets: on('short'), steps });
    await stack.addRunbook('parks', { targets: on('park'), onClose: 'park', steps, timeout: '10s' });
    await openFor('short', -60, 3);
    const again = { from: iso(3600 * SECOND), to: iso(7200 * SECOND) };
    const windows = [{ from: iso(-60 * SECOND), to: iso(3 * SECOND) }, again];
    await apply('of-park', { assets: 'asset.labels.group == "park"', windows });
    const [finishes, parks] = [await start('finishes'), await start('parks')];
    expect(await stack.ended(finishes.id)).toMatchObject({ state: 'succeeded' });
    await until(async () => (await entries(parks.id, 'run-closed')).length === 1);
    const parked = await stack.run(parks.id);
    expect(parked.state).toBe('running');
    for (const target of parked.targets) {
      expect(target).toMatchObject({
        state: 'running',
        closed: { calendar: 'of-park', nextOpenAt: again.from.replace('Z', '.000Z') },
      });
      expect(target.steps.map(({ step }) => step)).toEqual(['one']);
    }
    // Longer than what was left of its time.
    await sleep(8 * SECOND);
    expect((await stack.run(parks.id)).state).toBe('running');
    await cancelAndWait(parks.id);
  });

  it('do not park while they put in order what they have begun', async () => {
    const clean = [change('clean', 0), change('swept', 0)];
    await stack.addRunbook('tidies-alone', {
      targets: on('tidy'),
      onClose: 'park',
      steps: [{ id: 'work', try: [change('one', 4)], finally: clean }, change('more')],
    });
    await openFor('tidy', -60, 3);
    const run = await start('tidies-alone');
    await until(async () => (await entries(run.id, 'target-closed')).length === 2);
    for (const { steps } of (await stack.run(run.id)).targets) {
      expect(steps.map(({ step, state }) => [step, state])).toEqual(
        ['one', 'clean', 'swept'].map((step) => [step, 'succeeded']),
      );
    }
    await cancelAndWait(run.id);
  });

  it('do not keep a run for ever where no opening is known', async () => {
    await openFor('gone', -3600, -60);
    await stack.addRunbook('never', { targets: on('gone', 'open'), timeout: '6s', steps: [change('do')] });
    const ended = await stack.ended((await start('never')).id, 40_000);
    expect(ended).toMatchObject({ state: 'timed-out', counts: { succeeded: 2 } });
  });
});
