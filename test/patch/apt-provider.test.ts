import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { selectUpdates, type PatchRules } from '@fettle/contracts';
import { detectProvider, SshPool, type HostCommands, type PackageProvider } from '@fettle/drivers';
import { DebianRepository } from '../support/debian-repository.js';
import { DebianRoot } from '../support/debian-root.js';
import { hostCommands } from '../support/host-commands.js';

const all: PatchRules = { updates: 'all', versions: [], approved: [], rejected: [], delayMs: 0 };

describe('apt behind a real sshd', () => {
  let host: DebianRoot;
  let pool: SshPool;
  let repository: DebianRepository;
  let commands: HostCommands;
  let apt: PackageProvider;

  beforeAll(async () => {
    host = await DebianRoot.start();
    pool = new SshPool();
    commands = await hostCommands(host, pool);
    repository = await DebianRepository.create(host);
    const first = ['app', 'app-web', 'kept', 'lib', 'plain'].map((name) => ({ name, version: '1.0' }));
    await repository.add('main', ...first);
    apt = await detectProvider(commands);
    await apt.refresh(commands, 0);
    await host.inside('apt-get', '-y', 'install', ...first.map(({ name }) => name));
    await host.inside('apt-mark', 'hold', 'kept');
    await repository.add('main', { name: 'app', version: '1.2' }, { name: 'kept', version: '2.0' });
    await repository.add(
      'main',
      { name: 'app-web', version: '2.0', depends: 'lib (>= 2)' },
      { name: 'lib', version: '2.0' },
    );
    await repository.add('security', { name: 'app', version: '1.1' }, { name: 'kept', version: '1:0.1' });
    await apt.refresh(commands, 0);
  }, 600_000);

  afterAll(async () => {
    await pool?.close();
    await host?.stop();
  }, 60_000);

  it('reads what is installed, held and offered, and which of it is security', async () => {
    const read = await apt.read(commands);
    expect(read.manager).toBe('apt');
    expect(read.packages.find(({ name }) => name === 'dpkg')).toMatchObject({
      architecture: 'amd64',
      state: 'installed',
    });
    expect(read.packages.length).toBeGreaterThan(80);
    const plain = { isSecurity: false, severity: null };
    const security = { isSecurity: true, severity: null };
    const is = { architecture: 'all', installed: '1.0' };
    expect([...read.offers].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      {
        ...is,
        name: 'app',
        isHeld: false,
        newer: [
          { version: '1.2', ...plain },
          { version: '1.1', ...security },
        ],
      },
      { ...is, name: 'app-web', isHeld: false, newer: [{ version: '2.0', ...plain }] },
      // An epoch makes it the newest.
      {
        ...is,
        name: 'kept',
        isHeld: true,
        newer: [
          { version: '1:0.1', ...security },
          { version: '2.0', ...plain },
        ],
      },
      { ...is, name: 'lib', isHeld: false, newer: [{ version: '2.0', ...plain }] },
    ]);
    expect(read.isInterrupted).toBe(false);
  });

  it('says what an installation would touch, and why one cannot be', async () => {
    const { selected } = selectUpdates(await apt.read(commands), all, new Map(), 0);
    const only = (name: string) => selected.filter((one) => one.name === name);
    expect(await apt.simulate(commands, only('app'))).toEqual({
      touched: ['app'],
      versions: new Map([['app:all', '1.2']]),
      refusal: null,
    });
    expect(await apt.simulate(commands, only('app-web'))).toEqual({
      touched: ['lib', 'app-web'],
      versions: new Map([
        ['lib:all', '2.0'],
        ['app-web:all', '2.0'],
      ]),
      refusal: null,
    });
    const gone = only('app').map((one) => ({ ...one, to: '9.9' }));
    expect((await apt.simulate(commands, gone)).refusal).toMatch(/9\.9/);
  });

  it('tells what pins keep back of the own release, and nothing of another one', async () => {
    await repository.addTesting();
    await repository.add('main', { name: 'plain', version: '1.2' });
    await repository.add('security', { name: 'plain', version: '1.3' });
    await repository.add('testing', { name: 'plain', version: '9.0' });
    await apt.refresh(commands, 0);
    const by = async (...pins: readonly string[]) => {
      const fields = pins.map((one) => one.split('; ').join('\n'));
      await host.write('etc/apt/preferences.d/test', `${fields.join('\n\n')}\n`);
      const { offers } = await apt.read(commands);
      return offers
        .filter(({ name }) => name === 'plain')
        .map(({ isHeld, isPinned, newer }) => [
          isPinned === true ? 'pinned' : isHeld ? 'held' : 'offered',
          ...newer.map(({ version, isSecurity }) => `${version}${isSecurity ? ' security' : ''}`),
        ]);
    };
    const testing = 'Package: *; Pin: release n=trixie; Pin-Priority: 100';
    const offered = ['offered', '1.3 security', '1.2'];
    expect(await by()).toEqual([['offered', '9.0', '1.3 security', '1.2']]);
    expect(await by(testing)).toEqual([offered]);
    expect(await by(testing.replace('100', '-1'))).toEqual([offered]);
    // To the version that is there: nothing gets through.
    const kept = 'Package: plain; Pin: version 1.0; Pin-Priority: 1001';
    expect(await by(testing, kept)).toEqual([['pinned', '1.3 security', '1.2']]);
    // The archive of security updates: what is let through does not hold the fix.
    const away = 'Package: *; Pin: release l=Debian-Security; Pin-Priority: -1';
    const narrowed = [
      ['offered', '1.2'],
      ['pinned', '1.3 security', '1.2'],
    ];
    expect(await by(testing, away)).toEqual(narrowed);
    // The default release that leaves out the security updates of the same.
    await host.write('etc/apt/apt.conf.d/99default', 'APT::Default-Release "stable";\n');
    expect(await by()).toEqual(narrowed);
    const { selected, skipped } = selectUpdates(
      await apt.read(commands),
      { ...all, approved: ['plain'] },
      new Map(),
      0,
    );
    expect(selected.map(({ name, to }) => `${name} ${to}`)).toEqual(['plain 1.2']);
    expect(skipped.filter(({ name }) => name === 'plain')).toEqual([
      { name: 'plain', version: '1.3', reason: 'held', detail: expect.stringMatching(/pin/) },
    ]);
    await host.inside('rm', '/etc/apt/apt.conf.d/99default');
    // Of updates that are none of security, a pin narrows the choice.
    await repository.add('main', { name: 'plain', version: '1.4' });
    await apt.refresh(commands, 0);
    expect(await by(testing, 'Package: plain; Pin: version 1.3; Pin-Priority: 900')).toEqual([offered]);
    await host.inside('rm', '/etc/apt/preferences.d/test');
  }, 120_000);

  it('names host, command and remedy where a source cannot be reached', async () => {
    await host.write('etc/apt/sources.list.d/gone.list', 'deb [trusted=yes] http://127.0.0.1:1/debian ./\n');
    const refused = apt.refresh(commands, 0);
    await expect(refused).rejects.toMatchObject({
      code: 'mirror-unreachable',
      message: expect.stringMatching(/^debian: "apt-get update -q" ended with exit code 100: .*127\.0\.0\.1/),
      remedy: expect.stringMatching(/source/),
    });
    await host.inside('rm', '/etc/apt/sources.list.d/gone.list');
  }, 120_000);
});
