import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { claimRun } from '@fettle/database';
import { applyDocuments, endLostRun, settleFire } from '@fettle/operations';
import { sendCommand } from '@fettle/temporal';
import { settleSchedules } from '../../apps/worker/dist/background/settle-schedules.js';
import { TestStack } from '../support/stack.js';

describe('what the background does to schedules and runs', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.create();
    await stack.addRunbook('call', { steps: [{ id: 'a', uses: 'http.request', with: { url: 'http://x/' } }] });
  }, 60_000);
  afterAll(() => stack?.close());

  /** A schedule that was due so many minutes ago, and its id. */
  async function dueSchedule(name: string, minutesAgo: number): Promise<string> {
    const source = [
      'apiVersion: fettle/v1',
      'kind: Schedule',
      `metadata: {name: ${name}}`,
      'spec: {runbook: call, cron: "* * * * *", catchUp: 1d}',
      '',
    ].join('\n');
    await stack.inTransaction((context) => applyDocuments(context, { source, file: 'test.yaml', dryRun: false }));
    await stack.dataSource.query(
      `UPDATE schedule SET watermark = now() - $2 * interval '1 minute', next_at = now() - $2 * interval '1 minute' WHERE name = $1`,
      [name, minutesAgo],
    );
    const rows: { id: string }[] = await stack.dataSource.query(`SELECT id FROM schedule WHERE name = $1`, [name]);
    return rows[0]!.id;
  }

  /** A stored document that nothing checked: as an older version, or a person with SQL, could leave it. */
  async function spoil(scheduleId: string, member: 'cron' | 'catchUp', value: string): Promise<void> {
    await stack.dataSource.query(
      `UPDATE document_version SET parsed = jsonb_set(parsed, $2, $3) WHERE document_id = $1`,
      [scheduleId, ['spec', member], JSON.stringify(value)],
    );
  }

  async function recordsOf(action: string): Promise<unknown[]> {
    const rows: { canonical: Buffer }[] = await stack.dataSource.query(
      `SELECT canonical FROM audit_record WHERE action = $1`,
      [action],
    );
    return rows.map((row) => JSON.parse(row.canonical.toString('utf8')) as unknown);
  }

  it('leaves an audit record of a schedule that is taken out of service', async () => {
    const id = await dueSchedule('wrong-cron', 3);
    await spoil(id, 'cron', '99 * * * *');
    await stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date()));
    await stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date()));
    expect(await recordsOf('schedule.quarantine')).toMatchObject([
      {
        principal: null,
        space: 'default',
        object: { kind: 'Schedule', name: 'wrong-cron', id },
        detail: { code: 'invalid-schedule', reason: expect.stringContaining('99') },
      },
    ]);
  });

  it('leaves an audit record of a run that it ends, once', async () => {
    const { id } = await stack.start('call');
    await stack.dataSource.transaction((transaction) => claimRun(transaction, id, 'w'));
    const run = { runId: id, space: 'default', cancelRequested: false };
    const fault = { state: 'failed', code: 'workflow-missing', message: 'gone' } as const;
    await stack.dataSource.transaction((transaction) => endLostRun(transaction, run, fault));
    await stack.dataSource.transaction((transaction) => endLostRun(transaction, run, fault));
    expect(await stack.run(id)).toMatchObject({ state: 'failed', error: { code: 'workflow-missing' } });
    expect(await recordsOf('run.end')).toMatchObject([
      { principal: null, object: { kind: 'run', id }, detail: { state: 'failed', code: 'workflow-missing' } },
    ]);
  });

  it('settles every schedule but those that break, even if they break their connection, and lets these rest', async () => {
    const outdated = await dueSchedule('outdated', 10);
    await spoil(outdated, 'catchUp', 'soon');
    const throwing = await dueSchedule('throwing', 9);
    await dueSchedule('good-first', 8);
    const cutting = await dueSchedule('cutting', 7);
    await dueSchedule('good-last', 6);
    await stack.dataSource.query(`CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`);
    await stack.dataSource.query(
      `CREATE TRIGGER cut BEFORE INSERT ON fire FOR EACH ROW WHEN (NEW.schedule_id = '${cutting}') EXECUTE FUNCTION cut()`,
    );
    await stack.dataSource.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no'; END $$`);
    await stack.dataSource.query(
      `CREATE TRIGGER refuse BEFORE INSERT ON fire FOR EACH ROW WHEN (NEW.schedule_id = '${throwing}') EXECUTE FUNCTION refuse()`,
    );
    const warnings: unknown[] = [];
    const logger = { warn: (detail: { scheduleId: string; count: number }) => void warnings.push(detail) };
    const task = settleSchedules(stack.dataSource, logger as never);
    const round = () => stack.dataSource.transaction((transaction) => task.round(transaction));
    await round();
    const fired: { name: string }[] = await stack.dataSource.query(
      `SELECT DISTINCT s.name FROM fire f JOIN schedule s ON s.id = f.schedule_id ORDER BY 1`,
    );
    expect(fired.map((row) => row.name)).toEqual(['good-first', 'good-last']);
    expect(warnings).toMatchObject([
      { scheduleId: throwing, count: 1 },
      { scheduleId: cutting, count: 1 },
    ]);
    await round();
    expect(warnings).toHaveLength(2);
    // What is stored and does not fit breaks nothing: it is put aside.
    const aside: unknown = await stack.dataSource.query(
      `SELECT name FROM schedule WHERE quarantine_reason LIKE 'spec.catchUp:%'`,
    );
    expect(aside).toEqual([{ name: 'outdated' }]);
  }, 60_000);

  it('refuses a command that it does not know, instead of counting it as sent', async () => {
    const command = { kind: 'from-a-newer-version', subject: 's', payload: {} };
    const temporal = { client: { withDeadline: (_: number, work: () => Promise<void>) => work() } };
    await expect(sendCommand(temporal as never, command as never)).rejects.toMatchObject({ code: 'unknown-command' });
  });

  it('settles an instant whose stored runbook does not fit as refused, with the reason', async () => {
    const id = await dueSchedule('outdated-runbook', 1);
    const spoilRunbook = (timeout: string): Promise<unknown> =>
      stack.dataSource.query(
        `UPDATE document_version SET parsed = jsonb_set(parsed, '{spec,timeout}', $1)
         WHERE document_id = (SELECT id FROM document WHERE kind = 'Runbook' AND name = 'call')`,
        [JSON.stringify(timeout)],
      );
    await spoilRunbook('soon');
    try {
      await stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date()));
    } finally {
      await spoilRunbook('24h');
    }
    const fires: unknown = await stack.dataSource.query(`SELECT outcome, reason FROM fire WHERE schedule_id = $1`, [
      id,
    ]);
    expect(fires).toMatchObject([
      {
        outcome: 'refused',
        reason: expect.stringMatching(/invalid-document: The stored runbook "call".*spec\.timeout/),
      },
    ]);
  });
});
