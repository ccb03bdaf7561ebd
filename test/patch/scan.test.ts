import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PatchHost } from '../support/patch-host.js';

interface SeenRow {
  readonly name: string;
  readonly version: string;
  readonly isSecurity: boolean;
  readonly seenAt: Date;
}

describe('patch.scan', () => {
  let host: PatchHost;

  beforeAll(async () => {
    host = await PatchHost.start(['app', 'held', 'plain'].map((name) => ({ name, version: '1.0' })));
    await host.root.inside('apt-mark', 'hold', 'held');
    await host.repository.add('main', { name: 'app', version: '1.2' }, { name: 'held', version: '2.0' });
    await host.repository.add('security', { name: 'app', version: '1.1' });
  }, 600_000);
  afterAll(() => host?.close(), 60_000);

  const ledger = (): Promise<SeenRow[]> =>
    host.stack.dataSource.query(
      `SELECT name, version, is_security AS "isSecurity", first_seen_at AS "seenAt" FROM patch_version
       WHERE space = 'default' AND manager = 'apt' ORDER BY name, version`,
    );
  const named = (row: SeenRow): string => `${row.name} ${row.version}${row.isSecurity ? ' security' : ''}`;

  it('says what is offered, and keeps it with the time at which each version was first seen', async () => {
    const before = Date.now();
    const run = await host.step('patch.scan', {});
    expect([run.state, run.targets[0]?.error ?? null]).toEqual(['succeeded', null]);
    const output = await host.output(run);
    const plain = { architecture: 'all', severity: null, firstSeenAt: expect.stringMatching(/^\d{4}-.*Z$/) };
    expect(output).toMatchObject({
      manager: 'apt',
      updates: 2,
      securityUpdates: 1,
      held: ['held'],
      offers: [
        { ...plain, name: 'app', installed: '1.0', available: '1.2', isSecurity: true, isHeld: false },
        { ...plain, name: 'held', installed: '1.0', available: '2.0', isSecurity: false, isHeld: true },
      ],
      truncated: false,
      isInterrupted: false,
    });
    const seen = await ledger();
    expect(seen.map(named)).toEqual(['app 1.1 security', 'app 1.2', 'held 2.0']);
    for (const { seenAt } of seen) expect(Math.abs(seenAt.getTime() - before)).toBeLessThan(600_000);
    const scans = await host.stack.dataSource.query<unknown[]>(
      `SELECT s.run_id, s.manager, jsonb_array_length(s.packages) > 80 AS many, s.offers -> 0 ->> 'name' AS first
       FROM patch_scan s JOIN asset a ON a.id = s.asset_id WHERE a.name = 'host-000'`,
    );
    expect(scans).toEqual([{ run_id: run.id, manager: 'apt', many: true, first: 'app' }]);
  }, 300_000);

  it('leaves the first time as it is when it sees a version again, and takes up new ones', async () => {
    const before = await ledger();
    await host.repository.add('main', { name: 'plain', version: '3.0' });
    const run = await host.step('patch.scan', {});
    expect(await host.output(run)).toMatchObject({ updates: 3, securityUpdates: 1 });
    const after = await ledger();
    expect(after.map(named)).toEqual([...before.map(named), 'plain 3.0']);
    expect(after.slice(0, before.length)).toEqual(before);
  }, 300_000);

  it('says that a reboot is needed, where packages ask for one', async () => {
    await host.root.inside('touch', '/run/reboot-required');
    await host.root.inside('sh', '-c', 'echo linux-image-test > /run/reboot-required.pkgs');
    const run = await host.step('patch.scan', { refresh: false });
    expect(await host.output(run)).toMatchObject({
      reboot: 'needed',
      rebootReasons: ['asked for by linux-image-test'],
    });
    await host.root.inside('rm', '/run/reboot-required', '/run/reboot-required.pkgs');
  }, 300_000);

  it('fails by name of host, command and remedy where a source is away', async () => {
    await host.root.write('etc/apt/sources.list.d/gone.list', 'deb [trusted=yes] http://127.0.0.1:1/debian ./\n');
    const run = await host.step('patch.scan', {});
    expect(run.state).toBe('failed');
    expect(run.targets[0]?.error).toMatchObject({
      code: 'mirror-unreachable',
      message: expect.stringMatching(/^host-000: "apt-get update -q" ended with exit code 100: /),
    });
    await host.root.inside('rm', '/etc/apt/sources.list.d/gone.list');
  }, 300_000);

  it('keeps when an installation has read the lists, also where they came unchanged', async () => {
    const touched = ['-exec', 'touch', '-d', '30 days ago', '{}', '+'];
    await host.root.inside('find', '/var/lib/apt/lists', '/var/lib/apt/periodic', ...touched).catch(() => undefined);
    await host.stack.dataSource.query(`UPDATE patch_scan SET lists_read_at = NULL`);
    const run = await host.step('patch.install', { approved: ['nothing-at-all'] });
    expect(run.state).toBe('succeeded');
    const [scan] = await host.stack.dataSource.query<[{ isNew: boolean }]>(
      `SELECT lists_read_at > now() - interval '1 day' AS "isNew" FROM patch_scan`,
    );
    expect(scan.isNew).toBe(true);
  }, 300_000);

  it('waits for another program that holds the lock of the lists', async () => {
    const lists = await host.root.lock('/var/lib/apt/lists/lock');
    const refused = await host.step('patch.scan', { lockWait: '1ms' });
    expect(refused.targets[0]?.error).toMatchObject({ code: 'package-lock-held' });
    const waiting = host.step('patch.scan', {});
    const [run] = await Promise.all([waiting, lists.release()]);
    expect(run.state).toBe('succeeded');
  }, 300_000);
});
