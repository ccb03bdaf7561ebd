import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readLedger, settleFire } from '@fettle/operations';
import { CliStack } from '../cli/cli-stack.js';

const guide = readFileSync(fileURLToPath(new URL('../../docs/how-to/schedule-jobs.md', import.meta.url)), 'utf8');
const [, documents = ''] = /^```yaml\n(apiVersion:[\s\S]*?)^```$/m.exec(guide) ?? [];
const commands = [...guide.matchAll(/^ {3}fettle (.+)$/gm)].map(([, line = '']) => line);

/** Words of a command line of the guide; quotes hold words together. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

describe('the guide to schedules, each of its commands executed', () => {
  let cli: CliStack;
  let file: string;
  const done: string[] = [];

  beforeAll(async () => {
    cli = await CliStack.start(1);
    file = await cli.write('patching.yaml', documents);
  }, 180_000);
  afterAll(() => cli?.stop());

  /** The next command of the guide, which has to be this one. */
  async function run(beginsWith: string) {
    const line = commands[done.length] ?? '';
    expect(line.startsWith(beginsWith)).toBe(true);
    done.push(line);
    const result = await cli.fettle(words(line).map((word) => (word === 'patching.yaml' ? file : word)));
    expect({ line, exitCode: result.exitCode, stderr: result.stderr }).toMatchObject({ exitCode: 0 });
    return result;
  }

  async function scheduleId(): Promise<string> {
    const rows: { id: string }[] = await cli.stack.dataSource.query(`SELECT id FROM schedule`);
    return rows[0]!.id;
  }

  /** As if it were that time; nothing is due to start in it. */
  const settleAt = async (at: string): Promise<unknown> => {
    const id = await scheduleId();
    return cli.stack.dataSource.transaction((transaction) => settleFire(transaction, id, new Date(at)));
  };

  it('goes from the documents to a window, a freeze and an override', async () => {
    await run('validate');
    const preview = await run('schedule preview');
    expect(preview.stdout).toContain('2026-12-08T21:15:00Z');
    await run('apply');
    expect((await run('schedule show')).stdout).toContain('patch-servers');
    await run('calendar status');
    const waits = await run('schedule trigger');
    expect(waits.stderr).toMatch(/is deferred: .*calendar patch-nights.*it waits for the opening at 20\d\d-\d\d-\d\dT/);
    const overridden = await run('schedule trigger patch-monthly --override');
    expect(overridden.stdout).toMatch(/^[\w-]{36}\n$/);
    expect((await cli.stack.ended(overridden.stdout.trim())).state).toBe('succeeded');
    await run('schedule pause');
    await run('schedule resume');
  }, 120_000);

  it('tells from the ledger what became of each instant', async () => {
    const id = await scheduleId();
    await cli.stack.dataSource.query(`DELETE FROM fire WHERE outcome = 'deferred'`);
    // What was triggered comes before the guide's instants, whenever this runs.
    await cli.stack.dataSource.query(
      `UPDATE fire SET nominal_at = nominal_at - interval '100 years' WHERE source = 'trigger'`,
    );
    await cli.stack.dataSource.query(
      `UPDATE schedule SET watermark = '2026-11-30T00:00:00Z', counted_from = '2026-11-30T00:00:00Z', waiting = 0, attend_at = NULL WHERE id = $1`,
      [id],
    );
    await settleAt('2026-12-08T21:15:00Z');
    const { items } = await readLedger(
      cli.stack.dataSource.manager,
      { space: 'default', name: 'patch-monthly' },
      { limit: 1 },
    );
    // 22:00 in Berlin on the second Tuesday of January.
    expect(items[0]).toMatchObject({ outcome: 'deferred', code: 'freeze', dueAt: '2027-01-12T21:00:00.000Z' });
    // In February, when nobody could start anything in January: each has its outcome.
    await settleAt('2027-02-01T00:00:00Z');
    const ledger = await run('schedule ledger');
    expect(ledger.stderr).toContain('Each has its outcome.');
    expect(ledger.stdout).toMatch(/trigger\) +fired/);
    const december = await run('schedule why patch-monthly --at');
    expect(december.stdout).toMatch(/^patch-monthly was due at 2026-12-08T21:15:00Z \(22:15 Europe\/Berlin\) and was /);
    const last = await run('schedule why');
    expect(last.stdout).toMatch(
      /^patch-monthly was due at 2027-01-12T21:15:00Z \(22:15 Europe\/Berlin\) and was missed: /,
    );
    const filled = await run('schedule backfill');
    expect(filled.stdout).toBe('2026-11-10T21:15:00.000Z\n');
    expect(done).toEqual(commands);
  }, 120_000);
});
