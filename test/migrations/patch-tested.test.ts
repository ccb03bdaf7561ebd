import { describe, expect, it } from '@jest/globals';
import {
  countTestedHosts,
  findTestedVersions,
  forgetAttemptMemos,
  forgetPatchInstalls,
  forgetTestedSets,
  keepTestedSet,
} from '@fettle/database';
import { migratedTo, rowId } from '../support/migrated.js';

const LAST = 1790000000087;
const DAY_MS = 86_400_000;
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;

describe('the migrations of tested sets, with rows', () => {
  const migrated = migratedTo(LAST);
  const query = (sql: string, parameters: readonly unknown[] = []): Promise<unknown[]> =>
    migrated.dataSource.query(sql, [...parameters]);
  const ago = (days: number): Date => new Date(Date.now() - days * DAY_MS);

  it('know of earlier scans no release, and go back to before', async () => {
    for (let step = 0; step < 3; step += 1) await migrated.dataSource.undoLastMigration();
    for (const asset of [1, 2])
      await query(`INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', $2, 'server')`, [
        rowId(asset),
        `asset-${asset}`,
      ]);
    await query(
      `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons)
       VALUES ($1, $2, 'apt', '[]', '[]', false, 'unknown', '{}')`,
      [rowId(1), rowId(9)],
    );
    await migrated.dataSource.runMigrations();
    expect(await query(`SELECT os_release FROM patch_scan`)).toEqual([{ os_release: null }]);
    expect(await countTestedHosts(migrated.dataSource.manager, 'default', rowId(9))).toEqual({
      hosts: 0,
      succeeded: 0,
      updates: 0,
    });
  });

  it('keep a set once, by its digest, and forget what nobody made for long', async () => {
    const { manager } = migrated.dataSource;
    const packages = { 'apt debian 12': { 'app:all': ['1', '2'] } };
    const set = (digit: string) => ({ space: 'default', digest: digest(digit), runId: rowId(9) });
    for (const digit of ['a', 'a', 'b']) await keepTestedSet(manager, set(digit), packages);
    await expect(keepTestedSet(manager, { ...set('a'), digest: 'sha256:a' }, packages)).rejects.toThrow();
    const find = (key: string, digit = 'a') =>
      findTestedVersions(manager, { space: 'default', digest: digest(digit), key });
    expect(await find('apt debian 12')).toEqual({ versions: { 'app:all': ['1', '2'] } });
    expect(await find('apt debian 13')).toEqual({ versions: null });
    expect(await find('apt debian 12', 'c')).toBeNull();
    await query(`UPDATE patch_tested_set SET kept_at = $1 WHERE digest = $2`, [ago(401), digest('b')]);
    expect(await forgetTestedSets(manager, ago(400), 10)).toBe(1);
    expect(await find('apt debian 12', 'b')).toBeNull();
  });

  it('forget installations of long ago, but what is told of or may be undone', async () => {
    const { manager } = migrated.dataSource;
    const install = (token: string, asset: number, days: number, run = 9): Promise<unknown> =>
      query(
        `INSERT INTO patch_install (token, step_token, asset_id, run_id, selection, started_at, results, ended_at)
         VALUES ($1, $1, $2, $3, '{}', $4, '[]', $4)`,
        [token, rowId(asset), rowId(run), ago(days)],
      );
    // An open run that takes up an ended one, which had called another; and an open run that begins anew after an ended one.
    await insertRun(5, { isEnded: true });
    await insertRun(6, { isEnded: true, parent: 5 });
    await insertRun(8, { continues: 5, how: 'resume' });
    await insertRun(4, { isEnded: true });
    await insertRun(3, { continues: 4, how: 'retry' });
    await query(`UPDATE patch_scan SET booted_at = $1 WHERE asset_id = $2`, [ago(200), rowId(1)]);
    await install('long-before-boot', 1, 300);
    await install('since-boot', 1, 150);
    await install('of-open-run', 2, 120, 8);
    await install('of-resumed', 2, 121, 5);
    await install('of-called', 2, 122, 6);
    await install('of-retried', 2, 123, 4);
    await install('old', 2, 110);
    await install('latest', 2, 100);
    await install('new', 1, 10);
    await install('too-long', 1, 500);
    const forget = (limit: number) => forgetPatchInstalls(manager, { before: ago(90), atLatest: ago(400), limit });
    expect(await forget(1)).toBe(1);
    expect(await query(`SELECT 1 FROM patch_install WHERE token = 'too-long'`)).toEqual([]);
    expect(await forget(10)).toBe(3);
    expect(await query(`SELECT token FROM patch_install ORDER BY token`)).toEqual(
      ['latest', 'new', 'of-called', 'of-open-run', 'of-resumed', 'since-boot'].map((token) => ({ token })),
    );
    expect(await forget(10)).toBe(0);
    for (const [token, days, run] of [
      ['kept', 10, 9],
      ['open', 100, 8],
      ['resumed', 100, 5],
      ['gone', 100, 9],
    ] as const)
      await query(`INSERT INTO attempt_memo (token, run_id, asset_id, value, kept_at) VALUES ($1, $2, $3, '{}', $4)`, [
        token,
        rowId(run),
        rowId(1),
        ago(days),
      ]);
    expect(await forgetAttemptMemos(manager, ago(90), 10)).toBe(1);
    expect(await query(`SELECT token FROM attempt_memo ORDER BY token`)).toEqual([
      { token: 'kept' },
      { token: 'open' },
      { token: 'resumed' },
    ]);
  });

  interface SomeRun {
    readonly isEnded?: boolean;
    readonly parent?: number;
    readonly continues?: number;
    readonly how?: 'resume' | 'retry';
  }

  async function insertRun(number: number, { isEnded = false, parent, continues, how }: SomeRun): Promise<void> {
    await query(`INSERT INTO principal (id, name, kind) VALUES ($1, 'p', 'person') ON CONFLICT DO NOTHING`, [
      rowId(20),
    ]);
    await query(
      `INSERT INTO document (id, space, kind, name) VALUES ($1, 'default', 'Runbook', 'one') ON CONFLICT DO NOTHING`,
      [rowId(21)],
    );
    await query(
      `INSERT INTO document_version (id, space, document_id, number, digest, kind, name, source, parsed, created_by)
       VALUES ($1, 'default', $2, 1, 'd', 'Runbook', 'one', '', '{}', 'p') ON CONFLICT DO NOTHING`,
      [rowId(22), rowId(21)],
    );
    const of = (other: number | undefined): string | null => (other === undefined ? null : rowId(other));
    await query(
      `INSERT INTO run (id, space, runbook, version_id, version, state, workflow_id, inputs, target_set_digest, target_count,
         undetermined_count, max_concurrency, counts, requested_by, deadline_at, ended_at, parent_run_id, parent_path, continues, continued_how)
       VALUES ($1, 'default', 'one', $2, 'd', $4, $8, '{}', 't', 1, 0, 1, '{}', $3, now(),
         CASE WHEN $4 = 'running' THEN NULL ELSE now() END, $5, CASE WHEN $5::uuid IS NULL THEN NULL ELSE 'call' END, $6, $7)`,
      [
        rowId(number),
        rowId(22),
        rowId(20),
        isEnded ? 'failed' : 'running',
        of(parent),
        of(continues),
        how ?? null,
        `w-${number}`,
      ],
    );
  }
});
