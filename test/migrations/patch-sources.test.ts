import { describe, expect, it } from '@jest/globals';
import { readPatchScans, savePatchScan } from '@fettle/database';
import { migratedTo, rowId } from '../support/migrated.js';

/** What writes scans writes all that is kept of them now. */
const LAST = 1790000000085;
const HOUR_MS = 3_600_000;

describe('the migrations of what a scan could know, with rows', () => {
  const migrated = migratedTo(LAST);

  const app = { name: 'app', architecture: 'all', version: '2', state: 'installed' as const, isHeld: false };
  const host = {
    manager: 'apt' as const,
    packages: [app],
    offers: [],
    isInterrupted: false,
    reboot: { state: 'needed' as const, reasons: [] },
    hasSecuritySource: true,
  };
  const read = async () => (await readPatchScans(migrated.dataSource.manager, [rowId(1)], new Map())).get(rowId(1));
  const scan = (more: object): Promise<void> =>
    savePatchScan(migrated.dataSource.manager, rowId(1), rowId(2), { ...host, ...more });

  it('know nothing of scans from before, and of later ones when lists were read at the least', async () => {
    const sources = (): Promise<unknown[]> =>
      migrated.dataSource.query(
        `SELECT 1 FROM information_schema.columns WHERE table_name = 'patch_scan' AND column_name = 'has_security_source'`,
      );
    while ((await sources()).length > 0) await migrated.dataSource.undoLastMigration();
    await migrated.dataSource.query(
      `INSERT INTO asset (id, space, name, kind) VALUES ($1, 'default', 'web', 'server')`,
      [rowId(1)],
    );
    await migrated.dataSource.query(
      `INSERT INTO patch_scan (asset_id, run_id, manager, packages, offers, is_interrupted, reboot, reboot_reasons)
       VALUES ($1, $2, 'apt', '[]', '[]', false, 'unknown', '{}')`,
      [rowId(1), rowId(2)],
    );
    await migrated.dataSource.runMigrations();
    const before = await read();
    expect(before?.host.hasSecuritySource).toBeUndefined();
    expect([before?.host.listsReadAt, before?.host.bootedAt]).toEqual([null, null]);
    const readAt = new Date(Date.now() - HOUR_MS);
    await scan({ listsReadAt: readAt });
    await scan({ listsReadAt: new Date(readAt.getTime() - HOUR_MS) });
    await scan({ listsReadAt: null });
    expect((await read())?.host).toMatchObject({ hasSecuritySource: true, listsReadAt: readAt });
    await scan({ listsReadAt: new Date(Date.now() + 24 * HOUR_MS) });
    expect((await read())?.host.listsReadAt?.getTime()).toBeLessThan(Date.now() + HOUR_MS);
  });

  it('remember what was installed since the last boot, whatever was installed after it', async () => {
    const installed = (token: string, results: readonly object[], at: Date): Promise<unknown> =>
      migrated.dataSource.query(
        `INSERT INTO patch_install (token, step_token, asset_id, run_id, selection, results, started_at, ended_at)
         VALUES ($1, $1, $2, $3, '{}', $4, $5, $5)`,
        [token, rowId(1), rowId(2), JSON.stringify(results), at],
      );
    const ago = (hours: number): Date => new Date(Date.now() - hours * HOUR_MS);
    await installed('a', [{ name: 'long-ago', to: '1', state: 'installed' }], ago(30));
    await installed('b', [{ name: 'app', to: '2', state: 'installed' }], ago(3));
    await installed('c', [{ name: 'other', to: '2', state: 'failed' }], ago(2));
    await scan({ bootedAt: ago(20) });
    expect(Object.fromEntries((await read())!.results)).toEqual({ 'app=2': 'installed', 'other=2': 'failed' });
    await scan({ bootedAt: ago(1) });
    expect(Object.fromEntries((await read())!.results)).toEqual({ 'other=2': 'failed' });
    // Somebody has mended it by hand since.
    await scan({ bootedAt: ago(1), packages: [{ ...app, name: 'other' }] });
    expect((await read())!.results.size).toBe(0);
  });
});
