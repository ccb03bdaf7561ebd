import { describe, expect, it } from '@jest/globals';
import { AptInstallReport } from './install-report.js';
import { parseDpkgPackages } from './parse-dpkg.js';
import { parseInstalls } from './parse-installs.js';
import {
  hasBeyond,
  keptBackVersions,
  newerVersions,
  parseOwnSources,
  parsePolicy,
  parseSecuritySources,
} from './parse-policy.js';
import { bootedAt, latestOf } from './read-ages.js';
import { kernelStatus } from './read-reboot.js';

const sources = [
  ['http://deb.example/debian bookworm/main amd64 Packages', 'Debian', 'Debian', 'stable', 'bookworm'],
  ['http://deb.example/sec bookworm-security/main amd64 Packages', 'Debian', 'Debian-Security', 'stable-security', 'x'],
  ['http://ubuntu.example/ubuntu jammy-security/main amd64 Packages', 'Ubuntu', 'Ubuntu', 'jammy-security', 'jammy'],
].map((fields) => fields.join('\t'));

const policy = `openssl:
  Installed: 3.0.11-1~deb12u1
  Candidate: 3.0.15-1~deb12u1
  Version table:
     3.1.0-1 -1
        500 http://deb.example/debian experimental/main amd64 Packages
     3.0.15-1~deb12u1 500
        500 http://deb.example/debian bookworm/main amd64 Packages
     3.0.14-1~deb12u2 500 (phased 10%)
        500 http://deb.example/sec bookworm-security/main amd64 Packages
 *** 3.0.11-1~deb12u1 100
        100 /var/lib/dpkg/status
     3.0.9-1 500
        500 http://deb.example/debian bookworm/main amd64 Packages
libc6:i386:
  Installed: 2.36-9
  Candidate: 2.36-9
  Version table:
 *** 2.36-9 500
        500 http://deb.example/debian bookworm/main i386 Packages
        100 /var/lib/dpkg/status
gone:
  Installed: (none)
  Candidate: (none)
  Version table:
`;

describe('what apt and dpkg say', () => {
  it('tells of a simulation each package in its architecture', () => {
    const said = [
      'Inst lib:i386 [1.0] (2.0 Debian:12/stable, Debian-Security:12/stable-security [i386])',
      'Inst lib [1.0] (1:1.9~rc1-1 Debian:12/stable [amd64]) []',
      'Inst data (3.0 localhost [all])',
      'Inst odd',
      'Conf data (3.0 localhost [all])',
    ].join('\n');
    expect(parseInstalls(said)).toEqual([
      { name: 'lib', architecture: 'i386', version: '2.0' },
      { name: 'lib', architecture: 'amd64', version: '1:1.9~rc1-1' },
      { name: 'data', architecture: 'all', version: '3.0' },
      { name: 'odd', architecture: '', version: '' },
    ]);
  });

  it('knows the archives of security updates of Debian and Ubuntu', () => {
    expect([...parseSecuritySources(sources.join('\n'))]).toEqual(sources.slice(1).map((line) => line.split('\t')[0]));
  });

  it('reads versions with their sources, and offers none beyond the candidate', () => {
    const found = parsePolicy(policy, parseSecuritySources(sources.join('\n')));
    expect(found.map(({ name, installed, candidate }) => [name, installed, candidate])).toEqual([
      ['openssl', '3.0.11-1~deb12u1', '3.0.15-1~deb12u1'],
      ['libc6:i386', '2.36-9', '2.36-9'],
      ['gone', null, null],
    ]);
    expect(found.map((one) => newerVersions(one).map(({ version, isSecurity }) => [version, isSecurity]))).toEqual([
      [
        ['3.0.15-1~deb12u1', false],
        ['3.0.14-1~deb12u2', true],
      ],
      [],
      [],
    ]);
  });

  it('knows the sources of the own release, whatever nobody gets unasked left out', () => {
    const line = (suite: string, codename: string, label = 'x') => [suite, 'o', label, suite, codename].join('\t');
    const debian = [
      line('stable', 'bookworm'),
      line('stable-security', 'bookworm-security', 'Debian-Security'),
      line('stable-updates', 'bookworm-updates'),
      line('stable-backports', 'bookworm-backports'),
      line('testing-security', 'trixie-security', 'Debian-Security'),
    ].join('\n');
    const own = ['stable', 'stable-security', 'stable-updates'];
    expect([...parseOwnSources(debian, 'bookworm')]).toEqual(own);
    // Where nobody knows the release, better one too many.
    expect([...parseOwnSources(debian, null)]).toEqual(['stable-security', 'testing-security']);
    const ubuntu = ['', '-security', '-updates', '-backports', '-proposed'].map((end) => line(`noble${end}`, 'noble'));
    expect([...parseOwnSources(ubuntu.join('\n'), 'noble')]).toEqual(['noble', 'noble-security', 'noble-updates']);
    expect([...parseOwnSources(line('old/updates', 'buster/updates'), 'buster')]).toEqual(['old/updates']);
  });

  it('does not take a version that comes in phases, or that nobody gets unasked, for one that a pin keeps back', () => {
    const source = 'http://deb.example/debian bookworm/main amd64 Packages';
    const row = (version: string, priority: string, of = 500) => [
      `     ${version} ${priority}`,
      `        ${of} ${source}`,
    ];
    const table = (candidate: string, ...rows: string[][]) =>
      ['a:', '  Installed: 1', `  Candidate: ${candidate}`, '  Version table:', ...rows.flat(), ' *** 1 100'].join(
        '\n',
      );
    const read = (text: string) => parsePolicy(text, new Set(), new Set([source]))[0]!;
    const kept = (pinned: string, plain: string) =>
      keptBackVersions(read(pinned), read(plain)).map(({ version }) => version);
    const phased = table('1', row('2', '1 (phased 10%)'));
    expect(hasBeyond(read(phased))).toBe(true);
    expect(kept(phased, phased)).toEqual([]);
    // A third source has a newer one, which would be chosen without pins.
    const third = ['     3 500', '        500 http://other.example ./ Packages'];
    expect(kept(table('1', third, row('2', '1 (phased 10%)')), table('3', third, row('2', '1 (phased 10%)')))).toEqual(
      [],
    );
    expect(kept(table('1', row('2', '-1', -1)), table('2', row('2', '500')))).toEqual(['2']);
    expect(kept(table('1', row('2', '-1', -1)), table('2', row('2', '100', 100)))).toEqual([]);
  });

  it('offers nothing where the candidate is older than what is installed', () => {
    const versions = ['2', '1'].map((version) => ({ version, isSecurity: true, severity: null }));
    expect(newerVersions({ name: 'a', installed: '2', candidate: '1', versions, own: new Set() })).toEqual([]);
  });

  it('reads the states of packages, and leaves out what is not there', () => {
    const lines = [
      'app\tall\t1.0\tinstall\tinstalled\tok',
      'half\tamd64\t2.0\tinstall\thalf-configured\tok',
      'held\tamd64\t2.0\thold\tinstalled\tok',
      'removed\tamd64\t2.0\tdeinstall\tconfig-files\tok',
      'never\t\t\tunknown\tnot-installed\tok',
      'a line of another form',
    ];
    expect(parseDpkgPackages(lines.join('\n')).map(({ name, state, isHeld }) => [name, state, isHeld])).toEqual([
      ['app', 'installed', false],
      ['half', 'half-configured', false],
      ['held', 'installed', true],
    ]);
  });

  it('reads the errors of dpkg by package, in whatever pieces they come', () => {
    const text = [
      'Setting up bad (2.0) ...',
      'dpkg: error processing package bad (--configure):',
      ' installed bad package post-installation script subprocess returned error exit status 7',
      'dpkg: error processing archive /var/cache/apt/archives/worse_2.0_all.deb (--unpack):',
      ' new worse package pre-installation script subprocess returned error exit status 1',
      'fettle: repaired 0',
      'fettle: NEEDRESTART-SVC: nginx.service',
      'Waiting for cache lock\rE: Could not get lock /var/lib/dpkg/lock-frontend.',
      'E: Sub-process /usr/bin/dpkg returned an error code (1)',
      '',
    ].join('\n');
    for (const size of [1, 7, 10_000]) {
      const report = new AptInstallReport();
      for (let at = 0; at < text.length; at += size) report.add('stderr', text.slice(at, at + size));
      expect(Object.fromEntries(report.errors)).toEqual({
        bad: 'installed bad package post-installation script subprocess returned error exit status 7',
        worse: 'new worse package pre-installation script subprocess returned error exit status 1',
      });
      expect(report).toMatchObject({ isRepaired: true, services: ['nginx.service'] });
      expect(report.complaints).toEqual([
        'Could not get lock /var/lib/dpkg/lock-frontend.',
        'Sub-process /usr/bin/dpkg returned an error code (1)',
      ]);
    }
  });

  it('reads the reason of a failure, whatever the other stream says in between', () => {
    const report = new AptInstallReport();
    report.add('stderr', 'dpkg: error processing package bad (--configure):\n');
    report.add('stdout', 'Setting up other (2.0) ...\n and more\n');
    report.add('stderr', ' installed bad package post-installation script subprocess returned error exit status 7\n');
    expect(report.errors.get('bad')).toMatch(/exit status 7$/);
  });

  it('reads when lists were read and the host booted, and knows when it cannot tell', () => {
    expect(latestOf('1700000000\n1700000100\n')).toEqual(new Date(1_700_000_100_000));
    expect(latestOf('')).toBeNull();
    expect(bootedAt('120.50 200.00\n', 1_000_000)).toEqual(new Date(879_500));
    expect(bootedAt('', 1_000_000)).toBeNull();
  });

  it('reads the kernel status of needrestart', () => {
    const text = 'NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-1\nNEEDRESTART-KEXP: 6.1.0-9\nNEEDRESTART-KSTA: 3\n';
    expect(kernelStatus(text)).toEqual({ status: 3, current: '6.1.0-1', expected: '6.1.0-9' });
    expect(kernelStatus('')).toMatchObject({ status: 0 });
  });
});
