import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CapacityOfKey, RunDetail } from '@fettle/contracts';
import { takeCapacity, type CapacityTaken } from '@fettle/database';
import { CliStack } from '../cli/cli-stack.js';

function document(name: string, key: string, limit: number): string {
  return `apiVersion: fettle/v1\nkind: Capacity\nmetadata: {name: ${name}}\nspec: {key: "${key}", limit: ${limit}}\n`;
}

describe('capacity from the command line', () => {
  let cli: CliStack;

  beforeAll(async () => {
    cli = await CliStack.start(1);
    await cli.stack.addRunbook('wait', {
      targets: 'true',
      steps: [{ id: 'work', uses: 'ssh.run', with: { argv: ['sleep', '30'], effect: 'read-only' } }],
    });
  }, 180_000);
  afterAll(() => cli?.stop(), 60_000);

  function take(runId: string, units: number): Promise<CapacityTaken> {
    return cli.stack.dataSource.transaction((transaction) =>
      takeCapacity(transaction, { runId, path: 'work', wants: [{ key: 'site:ber', units }], priority: 0 }),
    );
  }

  it('sets limits by documents, one for each key', async () => {
    expect(await cli.fettle(['capacity', 'list'])).toMatchObject({ exitCode: 0, stdout: '' });
    const file = await cli.write('ber.yaml', document('berlin', 'site:ber', 2));
    expect((await cli.fettle(['apply', '-f', file])).stdout).toBe('Capacity berlin created (version 1)\n');
    const other = await cli.write('other.yaml', document('other', 'site:ber', 3));
    const refused = await cli.fettle(['apply', '-f', other]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('the limit of site:ber is set by the Capacity berlin');
    const wrong = await cli.write('wrong.yaml', document('wrong', 'Ber', 0));
    const findings = await cli.fettle(['validate', '-f', wrong]);
    expect(findings.exitCode).toBe(1);
    expect(findings.stdout).toMatch(/wrong\.yaml:4:13: error: "key" must be KIND:NAME/);
    expect(findings.stdout).toMatch(/"limit" must be at least 1/);
    expect(await cli.json('capacity', 'list')).toMatchObject([
      { key: 'site:ber', limit: 2, document: 'berlin', used: 0 },
    ]);
    expect((await cli.fettle(['capacity', 'show', 'site:lon'])).exitCode).not.toBe(0);
  });

  it('shows who holds and who waits, at the key and at the run', async () => {
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => cli.stack.start('wait')));
    expect(await take(first!.id, 1)).toEqual({ kind: 'granted' });
    expect(await take(second!.id, 2)).toMatchObject({ kind: 'queued' });
    expect(await take(third!.id, 1)).toMatchObject({ kind: 'queued', position: 2 });
    const key = await cli.json<CapacityOfKey>('capacity', 'show', 'site:ber');
    expect(key).toMatchObject({ used: 1, limit: 2, holders: [{ runId: first!.id, units: 1, path: 'work' }] });
    expect(key.queue.map((one) => [one.position, one.runId])).toEqual([
      [1, second!.id],
      [2, third!.id],
    ]);
    const table = (await cli.fettle(['capacity', 'show', 'site:ber'])).stdout;
    expect(table).toContain('1 of 2');
    expect(table).toMatch(new RegExp(`2 +${third!.id} +wait +work`));
    const run = await cli.json<RunDetail>('run', 'show', third!.id);
    expect(run.capacity).toMatchObject([
      { path: 'work', state: 'queued', position: 2, waitsFor: [{ key: 'site:ber', limit: 2, used: 1, units: 1 }] },
    ]);
    expect((await cli.fettle(['run', 'show', third!.id])).stdout).toMatch(
      new RegExp(
        `capacity of work +waits since .*, place 2: site:ber \\(1 of 2 used by ${first!.id} \\(wait\\), 1 wanted\\)`,
      ),
    );
    expect((await cli.fettle(['run', 'show', first!.id])).stdout).toMatch(/capacity of work +holds site:ber/);
    // A higher limit serves those who wait.
    const file = await cli.write('ber.yaml', document('berlin', 'site:ber', 4));
    expect((await cli.fettle(['apply', '-f', file])).stdout).toContain('Capacity berlin changed');
    expect(await take(third!.id, 1)).toEqual({ kind: 'granted' });
    const free = await cli.fettle(['capacity', 'free', first!.id, '--reason', 'no']);
    expect(free.stderr).toMatch(/it gives back what it holds by itself/);
    const metrics = await (
      await fetch(`${cli.api.url}/metrics`, { headers: { authorization: `Bearer ${cli.api.token}` } })
    ).text();
    expect(metrics).toMatch(/fettle_capacity_held 3\n/);
    expect(metrics).toMatch(/fettle_capacity_waiting 0\n/);
    for (const run of [first!, second!, third!]) expect((await cli.fettle(['run', 'cancel', run.id])).exitCode).toBe(0);
    for (const run of [first!, second!, third!]) await cli.stack.ended(run.id);
    expect(await cli.json('capacity', 'list')).toMatchObject([
      { key: 'site:ber', limit: 4, used: 0, holders: [], queue: [] },
    ]);
  }, 120_000);
});
