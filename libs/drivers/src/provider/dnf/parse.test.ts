import { describe, expect, it } from '@jest/globals';
import { DnfInstallReport } from './install-report.js';
import { knowsSecurity, parseAdvisories, withAdvisories } from './parse-advisories.js';
import { newestOfEach, parsePackages } from './parse-packages.js';
import { parseSimulation } from './parse-simulation.js';
import { oldestOf } from './read-ages.js';
import { unfinishedPackages } from './read-interruption.js';
import { installedSince, newerKernel, rebootHint } from './read-reboot.js';

describe('what dnf and rpm say', () => {
  it('reads packages, and leaves out keys and what could be taken for an option or a pattern', () => {
    const lines = [
      'app\tnoarch\t1:1.0-1',
      'zero\tnoarch\t0:2.0-1',
      'gpg-pubkey\t(none)\t1-1',
      '--exec\tx86_64\t1-1',
      'a*\tnoarch\t1-1',
      '',
    ];
    expect(parsePackages(lines.join('\n'))).toEqual([
      { name: 'app', architecture: 'noarch', version: '1:1.0-1' },
      // rpm writes an epoch of 0 that the package names, dnf does not.
      { name: 'zero', architecture: 'noarch', version: '2.0-1' },
    ]);
  });

  it('knows the newest of those that are there several times', () => {
    const kernels = ['5.14.0-9', '5.14.0-70', '5.14.0-10'].map((version) => ({ name: 'kernel', architecture: 'x86_64', version })); // prettier-ignore
    expect(newestOfEach(kernels, new Set(), () => false)).toMatchObject([{ version: '5.14.0-70', state: 'installed' }]);
    expect(newestOfEach(kernels, new Set(['kernel:x86_64']), () => true)).toMatchObject([
      { state: 'half-configured', isHeld: true },
    ]);
  });

  it('reads advisories, of which those of security count', () => {
    const text = [
      'RHSA-2026:1 Important/Sec. openssl-libs-1:3.0.7-25.el9_3.x86_64',
      'i RHSA-2026:2 Unknown/Sec.   app-1.1-1.noarch',
      '  FEDORA-2026-3 Low/Sec. gcc-c++-12-1.i686',
      'RHBA-2026:4 bugfix         other-1.1-1.noarch',
      'RHEA-2026:5 enhancement    more-1.1-1.noarch',
    ];
    expect(parseAdvisories(text.join('\n'))).toEqual([
      { name: 'openssl-libs', architecture: 'x86_64', version: '1:3.0.7-25.el9_3', severity: 'Important' },
      { name: 'app', architecture: 'noarch', version: '1.1-1', severity: null },
      { name: 'gcc-c++', architecture: 'i686', version: '12-1', severity: 'Low' },
    ]);
    expect(knowsSecurity('Updates Information Summary: all\n    2 Security notice(s)\n    1 Bugfix notice(s)\n')).toBe(
      true,
    );
    expect(knowsSecurity('Updates Information Summary: all\n    1 Bugfix notice(s)\n')).toBe(false);
  });

  it('gives a version the worst severity of its advisories, and that of a version that is gone to the next', () => {
    const advised = [
      { version: '1.1-1', severity: 'Low' },
      { version: '1.2-1', severity: null },
      { version: '1.0.5-1', severity: 'Critical' },
      { version: '9-1', severity: 'Critical' },
    ];
    expect(withAdvisories(['1.1-1', '1.10-1', '1.2-1'], advised)).toEqual([
      { version: '1.10-1', isSecurity: false, severity: null },
      { version: '1.2-1', isSecurity: true, severity: null },
      { version: '1.1-1', isSecurity: true, severity: 'Critical' },
    ]);
  });

  it('reads what would be done, and refuses what removes anything but old kernels', () => {
    const end = 'Operation aborted.\n';
    const would = (...lines: string[]): string => lines.map((line) => `---> Package ${line}\n`).join('');
    const plain = would('app.noarch 1.0-1 will be upgraded', 'app.noarch 1.1-1 will be an upgrade');
    expect(parseSimulation(plain, end, 1)).toMatchObject({ touched: ['app'], refusal: null });
    const kernel = would('kernel-core.x86_64 5-3 will be installed', 'kernel-core.x86_64 5-1 will be erased');
    expect(parseSimulation(kernel, end, 1)).toMatchObject({ touched: ['kernel-core'], refusal: null });
    const taken = would('new.noarch 1-1 will be obsoleting', 'old.noarch 1-1 will be obsoleted');
    expect(parseSimulation(taken, end, 1)).toMatchObject({ refusal: 'it would remove old' });
    expect(parseSimulation('Nothing to do.\n', '', 1)).toMatchObject({ refusal: 'dnf would change nothing' });
    const skipped = `${plain}Skipping packages with broken dependencies:\n b noarch 2.0-1 base 5 k\n`;
    expect(parseSimulation(skipped, end, 2).refusal).not.toBeNull();
  });

  it('reads which scripts failed, what was kept and why nothing was done, in whatever pieces it comes', () => {
    const text = [
      'error: %prein(worse-2.0-1.noarch) scriptlet failed, exit status 3',
      'error: worse-2.0-1.noarch: install failed',
      'warning: /etc/cfg.conf created as /etc/cfg.conf.rpmnew',
      'warning: %post(bad-2.0-1.noarch) scriptlet failed, exit status 7',
      'fettle: repaired 0',
      'fettle: service nginx.service',
      'Error: Transaction failed',
      '',
    ].join('\n');
    for (const size of [1, 7, 10_000]) {
      const report = new DnfInstallReport();
      for (let at = 0; at < text.length; at += size) report.add('stdout', text.slice(at, at + size));
      expect(Object.fromEntries(report.errors)).toEqual({ worse: '%prein script failed, exit status 3' });
      expect(Object.fromEntries(report.warnings)).toEqual({ bad: '%post script failed, exit status 7' });
      expect(report).toMatchObject({
        isRepaired: true,
        services: ['nginx.service'],
        keptFiles: ['/etc/cfg.conf.rpmnew'],
        complaints: ['Transaction failed'],
        trouble: null,
      });
    }
    const unrepaired = new DnfInstallReport();
    unrepaired.add('stdout', 'Error: Transaction failed\nfettle: repaired 1\n');
    expect(unrepaired).toMatchObject({
      isRepaired: false,
      isRepairFailed: true,
      complaints: ['Transaction failed', expect.stringMatching(/repair .* exit code 1/)],
    });
    const beside = new DnfInstallReport();
    beside.add('stderr', 'Error: \n');
    beside.add('stdout', 'Running transaction check\n');
    beside.add('stderr', ' Problem: conflicting requests\n');
    expect(beside.complaints).toEqual(['Problem: conflicting requests']);
    const locked = new DnfInstallReport();
    locked.add('stdout', 'fettle: locked: dnf (process 7) holds /var/lib/dnf/rpmdb_lock.pid\n');
    expect([locked.trouble, locked.complaints]).toEqual(['locked', [expect.stringMatching(/dnf \(process 7\)/)]]);
  });

  it('knows a transaction without an end, and what of it was not done', () => {
    const begun =
      ' ** Upgrade  app-1.2-1.noarch @base\n ** Upgraded app-1.0-1.noarch @@System\n    Upgrade  b-1-1.noarch @base\n';
    expect([...unfinishedPackages(`End rpmdb      :  **\nReturn-Code    : Failure: 1\n${begun}`)]).toEqual([
      'app-1.2-1.noarch',
      'app-1.0-1.noarch',
    ]);
    // It failed by itself, and has an end.
    expect(unfinishedPackages(`End rpmdb      : 7e08e9\nReturn-Code    : Failure: 1\n${begun}`).size).toBe(0);
    expect(unfinishedPackages('No transactions\n').size).toBe(0);
    // Another one came after it, and has an end.
    const later = `Transaction ID : 9\nEnd rpmdb      : 7e08e9\nReturn-Code    : Success\n    Upgrade  c-1-1.noarch @base\n`;
    const former = `Transaction ID : 8\nEnd rpmdb      :  **\nReturn-Code    : ** Aborted **\n${begun}`;
    expect([...unfinishedPackages(`${later}---\n${former}`)]).toEqual(['app-1.2-1.noarch', 'app-1.0-1.noarch']);
  });

  it('reads what asks for a reboot, and knows when it is not told', () => {
    const some =
      'Core libraries or services have been updated since boot-up:\n  * glibc\n  * systemd\n\nReboot is required\n';
    expect(rebootHint(some)).toEqual(['glibc', 'systemd']);
    expect(rebootHint('No core libraries or services have been updated since boot-up.\n')).toEqual([]);
    expect(rebootHint('')).toBeNull();
    const times = 'kernel\t100\nglibc\t300\npackage systemd is not installed\n';
    expect(installedSince(times, new Date(200_000))).toEqual(['glibc']);
  });

  it('compares the kernel that runs with those of its kind', () => {
    const text = ['kernel-core\t5.14.0-9.el9\tx86_64', 'kernel-core\t5.14.0-70.el9\tx86_64', 'kernel-rt-core\t5.14.0-99.el9\tx86_64'].join('\n'); // prettier-ignore
    expect(newerKernel('5.14.0-9.el9.x86_64', text)).toBe('5.14.0-70.el9.x86_64');
    expect(newerKernel('5.14.0-70.el9.x86_64', text)).toBeNull();
    expect(newerKernel('5.14.0-99.el9.x86_64+rt', text)).toBeNull();
    // From no package: nothing of it can be said.
    expect(newerKernel('6.18.44-cloud', text)).toBeNull();
  });

  it('goes by the source that was read the longest ago, of those that are switched on', () => {
    const sources = 'repo id    repo name\nbase       Base\nmy-updates Updates\n';
    const digest = '0123456789abcdef';
    const list = (seconds: number, id: string): string => `${seconds}.5 ${id}-${digest}/repodata/aa-primary.xml.gz\n`;
    const lists = list(200, 'base') + list(900, 'base') + list(300, 'my-updates') + list(1, 'off');
    expect(oldestOf(sources, lists)).toEqual(new Date(300_500));
    expect(oldestOf(sources, list(200, 'base'))).toBeNull();
    expect(oldestOf('', lists)).toBeNull();
  });
});
