// Schedules that are settled together: what is written is what each would have had alone, and what is not plain costs no other anything.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scheduleActivities } from '@fettle/activities';
import { takeDueSchedules } from '@fettle/database';
import { applyDocuments, pauseSchedule, readLedger, settleFire, settleFires } from '@fettle/operations';
import { TestStack } from '../support/stack.js';

const HOUR_MS = 3_600_000;
const hourMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;

describe('schedules that are settled together', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
    await stack.addRunbook('waves', {
      targets: 'asset.kind == "server"',
      rollout: { maxConcurrency: 2, waves: [1, '50%'], orderBy: 'asset.name', maxFailures: '50%' },
      notify: [{ on: ['failed'], uses: 'notify.webhook', with: { url: 'http://x/' } }],
      inputs: {
        type: 'object',
        properties: { word: { type: 'string', default: 'hello' } },
        additionalProperties: false,
      },
      steps: [{ id: 'do', uses: 'ssh.run', with: { argv: ['true'], effect: 'mutating' } }],
    });
    await stack.addRunbook('calls', { steps: [{ id: 'c', call: { runbook: 'call' } }] });
    await stack.addRunbook('nothing-there', {
      targets: 'asset.kind == "printer"',
      steps: [{ id: 'do', uses: 'ssh.run', with: { argv: ['true'], effect: 'mutating' } }],
    });
    await stack.dataSource.query(
      `INSERT INTO asset (id, space, name, kind, labels)
       SELECT gen_random_uuid(), 'default', 'web-' || n, 'server', jsonb_build_object('side', CASE WHEN n > 3 THEN 'b' ELSE 'a' END)
       FROM generate_series(1, 5) AS n`,
    );
  }, 60_000);
  afterAll(() => stack?.close());

  const document = (kind: string, name: string, spec: object): string =>
    JSON.stringify({ apiVersion: 'fettle/v1', kind, metadata: { name }, spec });
  const applyAll = (...documents: string[]): Promise<unknown> =>
    stack.inTransaction((context) => applyDocuments(context, { source: documents.join('\n---\n') }));

  /** Due since the full hour, which is its only instant up to now. */
  async function dueSchedules(specs: Readonly<Record<string, object>>): Promise<Map<string, string>> {
    const names = Object.keys(specs);
    const documents = names.map((name) =>
      document('Schedule', name, { cron: '0 * * * *', catchUp: '2h', ...specs[name] }),
    );
    for (let from = 0; from < documents.length; from += 100) await applyAll(...documents.slice(from, from + 100));
    const rows: { id: string; name: string }[] = await stack.dataSource
      .query(
        `UPDATE schedule SET watermark = $2, counted_from = $2, next_at = $3 WHERE name = ANY ($1) RETURNING id, name`,
        [names, new Date(hourMs - 60_000), new Date(hourMs)],
      )
      .then(([updated]: [{ id: string; name: string }[]]) => updated);
    return new Map(names.map((name) => [name, rows.find((row) => row.name === name)!.id]));
  }

  const together = (ids: readonly string[]) =>
    stack.dataSource.transaction((transaction) => settleFires(transaction, ids));
  const alone = (id: string) => stack.dataSource.transaction((transaction) => settleFire(transaction, id));

  /** All that was written of a schedule, without what is of the one moment and the one row. */
  async function written(id: string, name: string): Promise<unknown> {
    const one = async (sql: string): Promise<unknown[]> => stack.dataSource.query(sql, [id]);
    const runs = await one(`SELECT to_jsonb(r) AS row FROM run r WHERE schedule_id = $1`);
    const ofRun = `IN (SELECT id FROM run WHERE schedule_id = $1)`;
    const audits: { canonical: Buffer; principal: string; space: string }[] = await stack.dataSource.query(
      `SELECT canonical, principal, space FROM audit_record
       WHERE object_name IN (SELECT id::text FROM run WHERE schedule_id = $1)
         AND id IN (SELECT record_id FROM audit_unsealed)`,
      [id],
    );
    const all = {
      runs,
      targets: await one(
        `SELECT to_jsonb(t) - 'due_at' AS row FROM run_target t WHERE run_id ${ofRun} ORDER BY asset_name`,
      ),
      order: await one(`SELECT asset_name, wave FROM run_target WHERE run_id ${ofRun} ORDER BY due_at, asset_name`),
      entries: await one(`SELECT to_jsonb(e) AS row FROM entry e WHERE run_id ${ofRun} ORDER BY seq`),
      audits: audits.map(({ canonical, ...rest }) => ({
        ...rest,
        record: JSON.parse(canonical.toString()) as unknown,
      })),
      commands: await one(
        `SELECT kind, subject, payload FROM outbox WHERE subject IN (SELECT workflow_id FROM run WHERE schedule_id = $1)`,
      ),
      fires: await one(`SELECT to_jsonb(f) AS row FROM fire f WHERE schedule_id = $1 ORDER BY nominal_at`),
      schedule: await one(`SELECT to_jsonb(s) AS row FROM schedule s WHERE id = $1`),
    };
    const runId = (runs as { row: { id: string } }[])[0]?.row.id ?? 'no run';
    const moments = /"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|\+00:00))"/g;
    const text = JSON.stringify(all)
      .replaceAll(runId, 'RUN')
      .replaceAll(id, 'SCHEDULE')
      .replaceAll(name, 'NAME')
      .replace(/"latenessMs":\d+/g, '"latenessMs":0')
      .replace(/started \d+ s late/g, 'started late')
      .replace(/"(requestId|id)":"[0-9a-f-]{36}"/g, '"$1":"ID"')
      // The instants themselves are the same for both.
      .replace(moments, (whole, at: string) => (Date.parse(at) % HOUR_MS === 0 ? whole : '"MOMENT"'));
    return JSON.parse(text) as unknown;
  }

  it.each([
    ['steps of the run itself', { runbook: 'call', overlap: 'allow' }],
    ['targets in waves, inputs, notifications', { runbook: 'waves', inputs: { word: 'hi' } }],
    ['targets that are narrowed', { runbook: 'waves', targets: 'asset.labels.side == "a"' }],
    ['calls of another runbook', { runbook: 'calls', onClose: 'park' }],
  ])('writes of each what it would have alone: %s', async (what, spec) => {
    const prefix = what.replace(/[^a-z]+/g, '-');
    const names = [`${prefix}-x`, `${prefix}-y`, `${prefix}-z`];
    const ids = await dueSchedules(Object.fromEntries(names.map((name) => [name, spec])));
    const [x, y, z] = names.map((name) => ids.get(name)!) as [string, string, string];
    const set = await together([x, y]);
    expect(set).toEqual({
      settled: new Map([
        [x, false],
        [y, false],
      ]),
      alone: [],
    });
    await alone(z);
    const expected = await written(z, names[2]!);
    expect(expected).toMatchObject({
      runs: [{ row: { state: 'queued' } }],
      entries: { length: 1 },
      audits: { length: 1 },
    });
    expect(await written(x, names[0]!)).toEqual(expected);
    expect(await written(y, names[1]!)).toEqual(expected);
  });

  it('leaves alone, with nothing written, what is not plain', async () => {
    const ids = await dueSchedules({
      plain: { runbook: 'call' },
      paused: { runbook: 'call' },
      cancels: { runbook: 'call', overlap: 'cancel-other' },
      queues: { runbook: 'call', overlap: 'queue-one' },
      empty: { runbook: 'nothing-there' },
      revoked: { runbook: 'call' },
      wrong: { runbook: 'call' },
      behind: { runbook: 'call', missed: 'all', overlap: 'allow' },
    });
    const id = (name: string): string => ids.get(name)!;
    await stack.inTransaction((context) =>
      pauseSchedule(context, { space: 'default', name: 'paused' }, { reason: 'because' }),
    );
    await stack.dataSource.query(`UPDATE schedule SET watermark = $2, next_at = $3 WHERE name = ANY ($1)`, [
      ['behind'],
      new Date(hourMs - HOUR_MS - 60_000),
      new Date(hourMs - HOUR_MS),
    ]);
    for (const name of ['cancels', 'queues']) {
      await stack.start('call');
      await stack.dataSource.query(
        `UPDATE run SET schedule_id = $1 WHERE id = (SELECT id FROM run WHERE schedule_id IS NULL AND ended_at IS NULL LIMIT 1)`,
        [id(name)],
      );
    }
    await stack.dataSource.query(
      `WITH gone AS (
         INSERT INTO principal (id, name, kind, revoked_at) VALUES (gen_random_uuid(), 'gone', 'person', now()) RETURNING id)
       UPDATE schedule SET created_by = gone.id FROM gone WHERE schedule.id = $1`,
      [id('revoked')],
    );
    await stack.dataSource.query(
      `UPDATE document_version SET parsed = jsonb_set(parsed, '{spec,cron}', '"99 * * * *"') WHERE document_id = $1`,
      [id('wrong')],
    );
    const before = await rowCounts();
    const set = await together([...ids.values()]);
    expect(new Set(set.settled.keys())).toEqual(new Set([id('plain'), id('queues')]));
    const names = new Map([...ids].map(([name, key]) => [key, name]));
    expect(set.alone.map((key) => names.get(key))).toEqual(
      ['paused', 'cancels', 'empty', 'revoked', 'wrong', 'behind'].filter((name) => ids.has(name)),
    );
    // One run of `plain`; a row of the ledger of `plain` and of `queues`.
    const after = await rowCounts();
    expect(after).toEqual({
      ...before,
      ...{ run: before.run! + 1, entry: before.entry! + 1, audit_record: before.audit_record! + 1 },
      ...{ outbox: before.outbox! + 1, fire: before.fire! + 2 },
    });
    for (const key of set.alone) await alone(key);
    const outcomes: { name: string; outcomes: string }[] = await stack.dataSource.query(
      `SELECT s.name, string_agg(f.outcome || ' ' || f.code, ', ' ORDER BY f.nominal_at) AS outcomes
       FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.id = ANY ($1) GROUP BY 1 ORDER BY 1`,
      [[...ids.values()]],
    );
    expect(Object.fromEntries(outcomes.map((row) => [row.name, row.outcomes]))).toMatchObject({
      cancels: 'queued overlap',
      queues: 'queued overlap',
      empty: 'refused no-targets',
      revoked: 'refused denied',
    });
  });

  async function rowCounts(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const table of ['run', 'run_target', 'entry', 'audit_record', 'outbox', 'fire']) {
      const rows: { count: number }[] = await stack.dataSource.query(`SELECT count(*)::integer AS count FROM ${table}`);
      counts[table] = rows[0]!.count;
    }
    return counts;
  }

  it('takes the longest due first and not what somebody else settles, and starts in that order', async () => {
    const ids = await dueSchedules(
      Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`order-${index}`, { runbook: 'call' }])),
    );
    for (const [index, id] of [...ids.values()].entries())
      await stack.dataSource.query(`UPDATE schedule SET next_at = $2 WHERE id = $1`, [
        id,
        new Date(hourMs - 10 * 60_000 - index * 1000),
      ]);
    const wanted = [...ids.values()].reverse();
    await stack.dataSource.query(`UPDATE schedule SET next_at = NULL WHERE id <> ALL ($1)`, [wanted]);
    await stack.dataSource.transaction(async (other) => {
      await other.query(`SELECT 1 FROM schedule WHERE id = $1 FOR UPDATE`, [wanted[1]]);
      await stack.dataSource.transaction(async (transaction) => {
        const taken = await takeDueSchedules(transaction, [], 4);
        expect(taken).toEqual([wanted[0], wanted[2], wanted[3], wanted[4]]);
        await settleFires(transaction, taken);
      });
    });
    const sent: { id: string }[] = await stack.dataSource.query(
      `SELECT r.schedule_id AS id FROM outbox o JOIN run r ON r.workflow_id = o.subject WHERE r.schedule_id = ANY ($1) ORDER BY o.id`,
      [wanted],
    );
    expect(sent.map((row) => row.id)).toEqual([wanted[0], wanted[2], wanted[3], wanted[4]]);
    await stack.dataSource.query(`UPDATE schedule SET next_at = NULL WHERE id = ANY ($1)`, [wanted]);
  });

  it('gives each of many its run, but for those that break or are put aside', async () => {
    const count = 120;
    const ids = await dueSchedules(
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`many-${index}`, { runbook: 'call' }])),
    );
    const [throwing, wrong] = [ids.get('many-7')!, ids.get('many-70')!];
    await stack.dataSource.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no'; END $$`);
    await stack.dataSource.query(
      `CREATE TRIGGER refuse BEFORE INSERT ON fire FOR EACH ROW WHEN (NEW.schedule_id = '${throwing}') EXECUTE FUNCTION refuse()`,
    );
    await stack.dataSource.query(
      `UPDATE document_version SET parsed = jsonb_set(parsed, '{spec,catchUp}', '"soon"') WHERE document_id = $1`,
      [wrong],
    );
    const warnings: unknown[] = [];
    const logger = { warn: (detail: object) => void warnings.push(detail) };
    const activities = scheduleActivities({ dataSource: stack.dataSource, logger });
    while ((await activities.settleDue()).more);
    await activities.settleDue();
    expect(warnings).toMatchObject([{ scheduleId: throwing }]);
    const fires: { runs: number; fires: number }[] = await stack.dataSource.query(
      `SELECT count(DISTINCT run_id)::integer AS runs, count(*)::integer AS fires FROM fire WHERE schedule_id = ANY ($1)`,
      [[...ids.values()]],
    );
    expect(fires).toEqual([{ runs: count - 2, fires: count - 2 }]);
    const aside: unknown = await stack.dataSource.query(
      `SELECT name FROM schedule WHERE quarantine_reason IS NOT NULL AND id = ANY ($1)`,
      [[...ids.values()]],
    );
    expect(aside).toEqual([{ name: 'many-70' }]);
    const ledger = await readLedger(stack.dataSource.manager, { space: 'default', name: 'many-8' }, { limit: 1 });
    expect(ledger.check).toMatchObject({ isSound: true, instants: 1 });
  });

  it('goes by calendars as one alone does', async () => {
    const closed = { timeZone: 'UTC', freezes: [{ name: 'now', from: '2000-01-01', to: '2100-01-01' }] };
    await applyAll(
      document('Calendar', 'side-b', { ...closed, assets: 'asset.labels.side == "b"' }),
      document('Calendar', 'never', closed),
    );
    const specs = {
      half: { runbook: 'waves' },
      shut: { runbook: 'waves', targets: 'asset.labels.side == "b"' },
      named: { runbook: 'call', calendars: ['never'] },
      free: { runbook: 'call' },
    };
    const ids = await dueSchedules(
      Object.fromEntries(
        Object.entries(specs).flatMap(([name, spec]) => [
          [`${name}-set`, spec],
          [`${name}-own`, spec],
        ]),
      ),
    );
    const names = Object.keys(specs);
    const set = await together(names.map((name) => ids.get(`${name}-set`)!));
    expect(set.alone).toEqual([]);
    for (const name of names) {
      await alone(ids.get(`${name}-own`)!);
      const row = await written(ids.get(`${name}-set`)!, `${name}-set`);
      expect(row).toEqual(await written(ids.get(`${name}-own`)!, `${name}-own`));
    }
    const outcomes: unknown = await stack.dataSource.query(
      `SELECT s.name, f.outcome, f.code FROM fire f JOIN schedule s ON s.id = f.schedule_id WHERE s.id = ANY ($1) ORDER BY 1`,
      [names.map((name) => ids.get(`${name}-set`)!)],
    );
    expect(outcomes).toMatchObject([
      { name: 'free-set', code: '' },
      { name: 'half-set', code: '' },
      { name: 'named-set', outcome: 'skipped', code: 'freeze' },
      { name: 'shut-set', outcome: 'skipped', code: 'freeze' },
    ]);
    const waiting: unknown = await stack.dataSource.query(
      `SELECT count(*)::integer AS targets FROM run_target t JOIN run r ON r.id = t.run_id
       WHERE r.schedule_id = $1 AND t.closed IS NOT NULL`,
      [ids.get('half-set')],
    );
    expect(waiting).toEqual([{ targets: 2 }]);
  });
});
