import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { selectUpdates, type PatchRules } from '@fettle/contracts';
import { detectProvider, SshPool, type HostCommands, type PackageProvider } from '@fettle/drivers';
import { startDnfRoot } from '../support/dnf-host.js';
import type { DebianRoot } from '../support/debian-root.js';
import { hostCommands } from '../support/host-commands.js';
import { RpmRepository } from '../support/rpm-repository.js';

const all: PatchRules = { updates: 'all', versions: [], approved: [], rejected: [], delayMs: 0 };
const NAMES = ['app', 'app-web', 'gone', 'kept', 'lib', 'locked', 'moved', 'old', 'plain', 'shut', 'zero'];

describe('dnf behind a real sshd', () => {
  let host: DebianRoot;
  let pool: SshPool;
  let repository: RpmRepository;
  let commands: HostCommands;
  let dnf: PackageProvider;

  beforeAll(async () => {
    host = await startDnfRoot();
    pool = new SshPool();
    commands = await hostCommands(host, pool);
    repository = await RpmRepository.create(host);
    await repository.add(
      'base',
      ...NAMES.map((name) => ({ name, version: '1.0', ...(name === 'zero' ? { epoch: 0 } : {}) })),
    );
    dnf = await detectProvider(commands);
    await dnf.refresh(commands, 0);
    await host.inside('dnf', '-q', '-y', 'install', ...NAMES);
    await host.inside('dnf', '-q', 'versionlock', 'add', 'locked');
    await host.inside('sh', '-c', 'echo "excludepkgs=kept* shut-3*" >> /etc/dnf/dnf.conf');
    const updates = [
      { name: 'app', version: '1.1' },
      { name: 'app', version: '1.2' },
      { name: 'app-web', version: '2.0', requires: 'lib >= 2' },
      { name: 'gone', version: '1.3' },
      { name: 'kept', version: '0.1', epoch: 1 },
      { name: 'kept', version: '2.0' },
      { name: 'lib', version: '2.0' },
      { name: 'locked', version: '2.0' },
      { name: 'moved', version: '2.0', isNative: true },
      { name: 'new', version: '1.0', obsoletes: 'old' },
      { name: 'old', version: '2.0', requires: 'nothing-has-this' },
      { name: 'plain', version: '2.0' },
      { name: 'plain', version: '3.0' },
      { name: 'shut', version: '2.0' },
      { name: 'shut', version: '3.0' },
    ];
    await repository.add('updates', ...updates);
    await repository.advise(
      { id: 'TEST-1', type: 'security', severity: 'Moderate', packages: [{ name: 'app', version: '1.1' }] },
      { id: 'TEST-2', type: 'security', severity: 'Critical', packages: [{ name: 'app', version: '1.1' }] },
      // Of this version no source has a package any more: the next one holds its fix.
      { id: 'TEST-3', type: 'security', severity: 'Important', packages: [{ name: 'gone', version: '1.1' }] },
      { id: 'TEST-4', type: 'security', packages: [{ name: 'kept', version: '0.1', epoch: 1 }] },
      { id: 'TEST-6', type: 'security', severity: 'Critical', packages: [{ name: 'shut', version: '3.0' }] },
      { id: 'TEST-5', type: 'bugfix', severity: 'None', packages: [{ name: 'plain', version: '2.0' }] },
    );
    await dnf.refresh(commands, 0);
    await host.inside('dnf', '-q', 'versionlock', 'exclude', 'plain-3.0-1.*');
  }, 600_000);

  afterAll(async () => {
    await pool?.close();
    await host?.stop();
  }, 60_000);

  it('knows a host whose own package manager it is, though apt is there as well', () => {
    expect(dnf.manager).toBe('dnf');
  });

  it('reads what is installed, held and offered, and which of it is security, how severe', async () => {
    const before = Date.now();
    const read = await dnf.read(commands);
    expect(read.packages.map(({ name }) => name).sort()).toEqual([...NAMES, 'rpm'].sort());
    for (const one of read.packages) expect(one).toMatchObject({ architecture: 'noarch', state: 'installed' });
    // It names an epoch of 0, which dnf never writes.
    expect(read.packages.find(({ name }) => name === 'zero')?.version).toBe('1.0-1');
    expect(read.packages.filter(({ isHeld }) => isHeld).map(({ name }) => name).sort()).toEqual(['kept', 'locked']); // prettier-ignore
    const plain = { isSecurity: false, severity: null };
    const is = { architecture: 'noarch', installed: '1.0-1', isHeld: false };
    expect([...read.offers].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      {
        ...is,
        name: 'app',
        newer: [
          { version: '1.2-1', ...plain },
          { version: '1.1-1', isSecurity: true, severity: 'Critical' },
        ],
      },
      { ...is, name: 'app-web', newer: [{ version: '2.0-1', ...plain }] },
      { ...is, name: 'gone', newer: [{ version: '1.3-1', isSecurity: true, severity: 'Important' }] },
      {
        ...is,
        name: 'kept',
        isHeld: true,
        newer: [
          { version: '1:0.1-1', isSecurity: true, severity: null },
          { version: '2.0-1', ...plain },
        ],
      },
      { ...is, name: 'lib', newer: [{ version: '2.0-1', ...plain }] },
      { ...is, name: 'locked', isHeld: true, newer: [{ version: '2.0-1', ...plain }] },
      // Only for one architecture now.
      { ...is, name: 'moved', newer: [{ version: '2.0-1', ...plain, toArchitecture: expect.any(String) }] },
      { ...is, name: 'old', newer: [{ version: '2.0-1', ...plain }] },
      { ...is, name: 'plain', newer: [{ version: '2.0-1', ...plain }] },
      { ...is, name: 'shut', newer: [{ version: '2.0-1', ...plain }] },
      // What is kept back holds a fix that what is let through does not.
      {
        ...is,
        name: 'shut',
        isHeld: true,
        newer: [
          { version: '3.0-1', isSecurity: true, severity: 'Critical' },
          { version: '2.0-1', ...plain },
        ],
      },
    ]);
    expect([read.isInterrupted, read.hasSecuritySource]).toEqual([false, true]);
    // Of the two sources the one that was read earlier.
    expect(Math.abs((read.listsReadAt?.getTime() ?? 0) - before)).toBeLessThan(600_000);
  }, 120_000);

  it('says what an installation would touch, and why one cannot be', async () => {
    const { selected } = selectUpdates(await dnf.read(commands), all, new Map(), 0);
    const only = (name: string) => selected.filter((one) => one.name === name);
    const app = { touched: ['app'], versions: new Map([['app', '1.2-1']]), refusal: null };
    expect(await dnf.simulate(commands, only('app'))).toEqual(app);
    const both = await dnf.simulate(commands, only('app-web'));
    expect([[...both.touched].sort(), both.refusal]).toEqual([['app-web', 'lib'], null]);
    const older = only('app').map((one) => ({ ...one, to: '1.1-1' }));
    expect(await dnf.simulate(commands, older)).toEqual({ ...app, versions: new Map([['app', '1.1-1']]) });
    expect(await dnf.simulate(commands, only('moved'))).toMatchObject({ touched: ['moved'], refusal: null });
    const missing = only('app').map((one) => ({ ...one, to: '9.9-1' }));
    expect(await dnf.simulate(commands, [...missing, ...only('lib')])).toMatchObject({
      refusal: expect.stringMatching(/no source offers app-9\.9-1\.noarch/),
      blamed: ['app'],
    });
    expect(await dnf.simulate(commands, [...only('lib'), ...only('old')])).toMatchObject({
      refusal: expect.stringMatching(/nothing provides nothing-has-this needed by old-2\.0-1\.noarch/),
      blamed: ['old'],
    });
  }, 120_000);

  it('removes nothing, also where a package would take the place of another', async () => {
    const update = { name: 'new', architecture: 'noarch', from: '', to: '1.0-1', isSecurity: false };
    const old = { ...update, name: 'old' };
    const { refusal } = await dnf.simulate(commands, [{ ...old, to: '1.0-1' }, update]);
    expect(refusal).not.toBeNull();
  }, 120_000);

  it('asks for a reboot where the core of the system was updated since the boot, or a newer kernel waits', async () => {
    expect(await dnf.reboot(commands)).toEqual({ state: 'not-needed', reasons: [] });
    await repository.add('base', { name: 'glibc', version: '2.0' });
    await host.inside('dnf', '-q', '-y', '--refresh', 'install', 'glibc');
    expect(await dnf.reboot(commands)).toEqual({ state: 'needed', reasons: ['asked for by glibc'] });
    await host.inside('rpm', '-e', 'glibc');
    await host.write('etc/dnf/plugins/needs-restarting.d/own.conf', 'lib\n');
    expect(await dnf.reboot(commands)).toEqual({ state: 'needed', reasons: ['asked for by lib'] });
    await host.inside('rm', '/etc/dnf/plugins/needs-restarting.d/own.conf');
    expect(await dnf.reboot(commands)).toEqual({ state: 'not-needed', reasons: [] });
  }, 120_000);

  it('names host, command and remedy where a source cannot be reached, also one that may be skipped', async () => {
    await host.write(
      'etc/yum.repos.d/away.repo',
      '[away]\nname=away\nbaseurl=http://127.0.0.1:1/rpm\nskip_if_unavailable=1\ngpgcheck=0\n',
    );
    await expect(dnf.refresh(commands, 0)).rejects.toMatchObject({
      code: 'mirror-unreachable',
      message: expect.stringMatching(/^debian: "dnf makecache --refresh" ended with exit code 1: .*'away'/),
      remedy: expect.stringMatching(/source/),
    });
    await host.inside('rm', '/etc/yum.repos.d/away.repo');
  }, 120_000);

  it('says what is wrong where the database of packages cannot be read', async () => {
    await host.inside('sh', '-c', 'mkdir /tmp/db; mv /var/lib/rpm/* /tmp/db; echo broken > /var/lib/rpm/rpmdb.sqlite');
    await expect(dnf.read(commands)).rejects.toMatchObject({
      code: 'package-manager-failed',
      message: expect.stringMatching(/^debian: "rpm -qa/),
      remedy: expect.stringMatching(/rpmdb --verifydb/),
    });
    await host.inside('sh', '-c', 'rm /var/lib/rpm/rpmdb*; mv /tmp/db/* /var/lib/rpm');
  }, 120_000);
});
