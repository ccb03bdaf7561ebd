import { describe, expect, it } from '@jest/globals';
import type { HostPackages, SelectedUpdate } from '@fettle/contracts';
import type { InstallReport } from '@fettle/drivers';
import { installError, resultsOf } from './install-results.js';

const report = (more: Partial<InstallReport> = {}): InstallReport => ({
  add: () => undefined,
  errors: new Map(),
  warnings: new Map(),
  keptFiles: [],
  complaints: [],
  services: [],
  isRepaired: false,
  trouble: null,
  ...more,
});
const update = (name: string, architecture: string): SelectedUpdate => {
  return { name, architecture, from: '1-1', to: '2-1', isSecurity: false };
};
const after = (...packages: [name: string, architecture: string, version: string][]): HostPackages => ({
  manager: 'dnf',
  packages: packages.map(([name, architecture, version]) => {
    return { name, architecture, version, state: 'installed', isHeld: false };
  }),
  offers: [],
  isInterrupted: false,
  reboot: { state: 'not-needed', reasons: [] },
});
const states = (selected: readonly SelectedUpdate[], host: HostPackages) =>
  resultsOf({ selected, skipped: [] }, host, report()).map(({ state, reason }) => reason ?? state);

describe('results of an installation', () => {
  it('know a package again whose new version is for one architecture, or for any', () => {
    expect(states([update('app', 'all')], after(['app', 'amd64', '2-1']))).toEqual(['installed']);
    expect(states([update('app', 'noarch')], after(['app', 'x86_64', '2-1']))).toEqual(['installed']);
    expect(states([update('app', 'x86_64')], after(['app', 'noarch', '2-1']))).toEqual(['installed']);
    const gone = 'it is not there any more';
    expect(states([update('app', 'i686')], after(['app', 'x86_64', '2-1'], ['lib', 'i686', '2-1']))).toEqual([gone]);
  });
});

describe('why an installation is no success', () => {
  const selected = [update('app', 'noarch')];
  const error = (more: Partial<InstallReport>, host: HostPackages, exitCode = 0) => {
    const told = report(more);
    const results = resultsOf({ selected, skipped: [] }, host, told);
    const { isInterrupted } = host;
    return installError({ host: 'web1', command: 'dnf upgrade', exitCode, results, report: told, isInterrupted });
  };
  const good = after(['app', 'noarch', '2-1']);

  it('is also that what was cut off before is not mended', () => {
    expect(error({ isRepaired: true }, good)).toBeNull();
    expect(error({ isRepairFailed: true, complaints: ['no such package'] }, good)).toMatchObject({
      code: 'patch-incomplete',
      message: expect.stringMatching(/^web1: .*not repaired: no such package$/),
    });
    expect(error({}, { ...good, isInterrupted: true })).toMatchObject({ code: 'patch-incomplete' });
  });

  it('is that something else would have come along, whatever the manager says of having been stopped', () => {
    const bad = after(['app', 'noarch', '1-1']);
    const said = { unforeseen: ['lib 2-1'], complaints: ['Sub-process exec awk returned an error code (1)'] };
    expect(error(said, bad, 1)).toMatchObject({
      code: 'unforeseen-packages',
      message: expect.stringMatching(/^web1: .*lib 2-1 would have come along/),
    });
  });

  it('is the script that failed, though something could not be fetched beside it', () => {
    const bad = after(['app', 'noarch', '1-1']);
    const script = { trouble: 'unreached' as const, errors: new Map([['app', '%pre script failed']]) };
    expect(error(script, bad, 1)).toMatchObject({
      code: 'patch-failed',
      message: expect.stringMatching(/%pre script/),
    });
    expect(error({ trouble: 'unreached' }, bad, 1)).toMatchObject({ code: 'mirror-unreachable' });
  });
});
