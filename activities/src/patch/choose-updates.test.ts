import { describe, expect, it } from '@jest/globals';
import type { HostPackages, PatchRules } from '@fettle/contracts';
import type { HostCommands, PackageProvider, SimulatedInstall } from '@fettle/drivers';
import { patchInstall, patchScan } from '../contracts.js';
import { chooseUpdates, rulesOf } from './choose-updates.js';
import { repairedOnly } from './install-results.js';
import { chosenUpdates, scanOutput } from './scan.js';

const rules: PatchRules = { updates: 'all', versions: [], approved: [], rejected: [], delayMs: 0 };

function host(...names: string[]): HostPackages {
  const one = { architecture: 'amd64', isHeld: false };
  const newer = [{ version: '2', isSecurity: false, severity: null }];
  return {
    manager: 'apt',
    packages: names.map((name) => ({ ...one, name, version: '1', state: 'installed' })),
    offers: names.map((name) => ({ ...one, name, installed: '1', newer })),
    isInterrupted: false,
    reboot: { state: 'unknown', reasons: [] },
    release: 'debian 13',
  };
}

/** What the simulation says of these names. */
function saying(simulate: (names: readonly string[]) => SimulatedInstall): PackageProvider {
  return {
    simulate: (_commands: HostCommands, updates: readonly { name: string }[]) =>
      Promise.resolve(simulate(updates.map(({ name }) => name))),
  } as unknown as PackageProvider;
}

const commands = { host: 'web1' } as HostCommands;
const choose = (provider: PackageProvider, given: HostPackages, some: Partial<PatchRules>) =>
  chooseUpdates(provider, commands, given, { rules: { ...rules, ...some } }, new Map());
const names = (all: readonly { name: string }[]): string[] => all.map(({ name }) => name);

describe('what is chosen on a host whose packages were cut off', () => {
  const cutOff = { ...host('app', 'needs'), isInterrupted: true };
  const mended = host('app', 'needs');
  const silent = saying(() => ({ touched: [], refusal: 'E: Unmet dependencies.' }));

  it('is nothing but the repair, where it does not say what comes along and something is to be kept out', async () => {
    for (const some of [{ rejected: ['never'] }, { tested: new Map([['app:amd64', new Set(['2'])]]) }]) {
      const { selected, skipped } = await choose(silent, cutOff, some);
      expect(selected).toEqual([]);
      expect(skipped.filter(({ reason }) => reason === 'after-repair').map(({ name }) => name)).toEqual(
        'tested' in some ? ['app'] : ['app', 'needs'],
      );
      const left = { selected, skipped };
      expect(repairedOnly('web1', left, mended, null)).toMatchObject({
        code: 'repaired-only',
        message: expect.stringMatching(/^web1: .*which is done; [12] updates were not installed/),
        remedy: 'Install again.',
      });
      expect(repairedOnly('web1', left, cutOff, null)).toMatchObject({
        message: expect.stringMatching(/did not mend all/),
        remedy: expect.stringMatching(/"apt-get --fix-broken install"/),
      });
      expect(repairedOnly('web1', left, { ...cutOff, manager: 'dnf' }, null)?.remedy).toMatch(/\("dnf remove/);
      const said = { code: 'patch-incomplete', message: 'E: Unmet dependencies.' };
      expect(repairedOnly('web1', left, mended, said)).toMatchObject({
        code: 'repaired-only',
        message: expect.stringMatching(/did not mend all .*\(E: Unmet dependencies\.\)/),
      });
      const locked = { code: 'package-lock-held', message: 'held' };
      expect(repairedOnly('web1', left, cutOff, locked)).toBe(locked);
    }
    expect(repairedOnly('web1', { selected: [], skipped: [] }, cutOff, null)).toBeNull();
  });

  it('is all of it, where nothing is to be kept out: the installation says what it cannot', async () => {
    expect(names((await choose(silent, cutOff, {})).selected)).toEqual(['app', 'needs']);
  });

  it('is as on any host, where it says what comes along', async () => {
    const telling = saying((asked) => ({
      touched: asked.includes('needs') ? [...asked, 'never'] : asked,
      refusal: null,
    }));
    const { selected, skipped } = await choose(telling, cutOff, { rejected: ['never'] });
    expect([names(selected), skipped.map(({ name, reason }) => [name, reason])]).toEqual([
      ['app'],
      [['needs', 'needs-other']],
    ]);
  });
});

describe('what comes along with an update', () => {
  const along = (versions: Record<string, string>) =>
    saying((asked) => ({
      touched: [...new Set([...asked, ...Object.keys(versions).map((key) => key.split(':')[0] ?? '')])],
      versions: new Map([...asked.map((name) => [`${name}:amd64`, '2'] as const), ...Object.entries(versions)]),
      refusal: null,
    }));
  const tested = new Map([
    ['app:amd64', new Set(['2'])],
    ['lib:amd64', new Set(['2'])],
    ['lib:i386', new Set(['1'])],
  ]);

  it('must have been tested in its own architecture', async () => {
    const good = await choose(along({ 'lib:amd64': '2', 'lib:i386': '1' }), host('app'), { tested });
    expect(names(good.selected)).toEqual(['app']);
    const bad = await choose(along({ 'lib:amd64': '2', 'lib:i386': '2' }), host('app'), { tested });
    expect(bad.selected).toEqual([]);
    expect(bad.skipped.find(({ name }) => name === 'app')).toMatchObject({
      reason: 'needs-other',
      detail: expect.stringMatching(/needs lib:i386 2, which was not tested/),
    });
  });

  it('is foreseen where something is to be kept out: by name, or by version where versions are', async () => {
    const provider = along({ 'lib:amd64': '2' });
    expect((await choose(provider, host('app'), {})).foreseen).toBeUndefined();
    expect((await choose(provider, host('app'), { rejected: ['never'] })).foreseen).toEqual(['app', 'lib']);
    expect((await choose(provider, host('app'), { tested })).foreseen).toEqual(['app=2', 'lib=2']);
  });

  it('goes by name alone where the package manager does not tell the architecture', async () => {
    expect(names((await choose(along({ lib: '1' }), host('app'), { tested })).selected)).toEqual(['app']);
    expect((await choose(along({ lib: '3' }), host('app'), { tested })).selected).toEqual([]);
  });
});

describe('what a scan tells as wanted', () => {
  const decided = (some: Partial<PatchRules>) => ({ rules: { ...rules, ...some } });
  const scan = async (provider: PackageProvider, given: HostPackages, some: Partial<PatchRules>) => {
    const found = await chosenUpdates(provider, commands, given, decided(some), new Map());
    return scanOutput(given, new Map(), decided(some), found);
  };

  it('is what an installation would choose: what needs others is told beside it', async () => {
    const telling = saying((asked) => ({
      touched: asked.includes('needs') ? [...asked, 'never'] : asked,
      refusal: null,
    }));
    expect(await scan(telling, host('app', 'needs'), { rejected: ['never'] })).toMatchObject({
      wanted: 1,
      updates: 2,
      leftAlone: [{ name: 'needs', version: '2', reason: 'needs-other', detail: 'it needs never, which is rejected' }],
      refusal: null,
      truncated: false,
    });
  });

  it('is all of it where the host refuses everything, and why it does', async () => {
    const broken = saying(() => ({ touched: [], refusal: 'orphan : Depends: nobody' }));
    expect(await scan(broken, host('app'), {})).toMatchObject({
      wanted: 1,
      leftAlone: [],
      refusal: expect.stringMatching(/^web1: .*installs nothing as it is: orphan/),
    });
  });

  it('says where more is left alone than is given', async () => {
    const never = saying((asked) => ({ touched: asked.length === 0 ? [] : [...asked, 'never'], refusal: null }));
    const many = host(...Array.from({ length: 21 }, (_, index) => `app${index}`));
    const output = await scan(never, many, { rejected: ['never'] });
    expect([output.wanted, output.leftAlone.length, output.truncated]).toEqual([0, 20, true]);
  });
});

describe('a host of a release that nobody tested', () => {
  const input = patchInstall.input.parse({ updates: 'all', tested: `sha256:${'0'.repeat(64)}` });
  const never = (): never => {
    throw new Error('nobody asks');
  };
  const decided = (given: HostPackages) =>
    rulesOf(input, { tested: () => Promise.resolve(null), baseline: never, firstSeen: never }, given);

  it('fails where it wants something, and is well where it does not', async () => {
    const wants = host('app');
    await expect(chooseUpdates(saying(never), commands, wants, await decided(wants), new Map())).rejects.toMatchObject({
      code: 'release-not-tested',
      message: expect.stringMatching(/^web1: it wants 1 updates, .*\(debian 13\)/),
    });
    const content = { ...wants, offers: [] };
    expect(await chooseUpdates(saying(never), commands, content, await decided(content), new Map())).toEqual({
      selected: [],
      skipped: [],
    });
  });
});

describe('the rules of a step', () => {
  it('are refused alike by what looks and by what installs', () => {
    for (const { input } of [patchScan, patchInstall]) {
      expect(input.safeParse({ updates: 'all', baseline: 'web' }).success).toBe(false);
      expect(input.safeParse({ updates: 'baseline', baseline: 'web' }).success).toBe(true);
    }
  });
});
