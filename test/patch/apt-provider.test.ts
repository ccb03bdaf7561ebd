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
