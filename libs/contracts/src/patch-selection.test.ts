import { describe, expect, it } from '@jest/globals';
import { matchesPackagePattern, packagePatternSchema, packageVersionSchema, type HostPackages } from './patch.js';
import { selectUpdates, type PatchRules } from './patch-selection.js';

const rules: PatchRules = { updates: 'all', versions: [], approved: [], rejected: [], delayMs: 0 };
const offered = (version: string, isSecurity = false) => ({ version, isSecurity, severity: null });

function host(...names: readonly (string | { name: string; isHeld: boolean })[]): HostPackages {
  const packages = names.map((one) => {
    const { name, isHeld } = typeof one === 'string' ? { name: one, isHeld: false } : one;
    return { name, architecture: 'amd64', version: '1', state: 'installed' as const, isHeld };
  });
  const offers = packages.map(({ version, state: _state, ...one }) => ({
    ...one,
    installed: version,
    newer: [offered('3'), offered('2', true)],
  }));
  return { manager: 'apt', packages, offers, isInterrupted: false, reboot: { state: 'unknown', reasons: [] } };
}

const chosen = (given: HostPackages, some: Partial<PatchRules>, seen = new Map<string, Date>(), nowMs = 0) => {
  const { selected, skipped } = selectUpdates(given, { ...rules, ...some }, seen, nowMs);
  return {
    selected: selected.map(({ name, to }) => `${name} ${to}`),
    skipped: skipped.map(({ name, reason }) => `${name} ${reason}`),
  };
};

describe('the choice of updates', () => {
  it('takes the newest of all, or the newest security update', () => {
    expect(chosen(host('a'), {})).toEqual({ selected: ['a 3'], skipped: [] });
    expect(chosen(host('a'), { updates: 'security' })).toEqual({ selected: ['a 2'], skipped: [] });
  });

  it('goes by names: rejected wins over approved, and nobody rejected is approved by default', () => {
    const names = host('kernel', 'kernel-doc', 'nginx');
    const approved = { approved: ['kernel*'], rejected: ['*-doc'] };
    expect(chosen(names, approved)).toEqual({
      selected: ['kernel 3'],
      skipped: ['kernel-doc rejected', 'nginx not-approved'],
    });
    expect(chosen(names, { rejected: ['*'] }).selected).toEqual([]);
  });

  it('leaves what is held, and what is not old enough, and counts the delay from the first sight', () => {
    expect(chosen(host({ name: 'a', isHeld: true }), {})).toEqual({ selected: [], skipped: ['a held'] });
    const seen = new Map([
      ['a:amd64=2', new Date(0)],
      ['a:amd64=3', new Date(500)],
    ]);
    const delay = { delayMs: 1_000 };
    expect(chosen(host('a'), delay, seen, 999)).toEqual({ selected: [], skipped: ['a too-new'] });
    expect(chosen(host('a'), delay, seen, 1_000).selected).toEqual(['a 2']);
    expect(chosen(host('a'), delay, seen, 1_500).selected).toEqual(['a 3']);
    // What nobody saw before is seen now.
    expect(chosen(host('a'), delay, new Map(), 1_000_000).skipped).toEqual(['a too-new']);
  });

  it('goes by severity where the archive says one, and takes what nobody graded', () => {
    const graded = host('a', 'b', 'c');
    const severities = [...'ABC'].map((_, index) => ['Critical', 'Low', null][index] ?? null);
    const offers = graded.offers.map((one, index) => ({
      ...one,
      newer: one.newer.map((version) => ({ ...version, severity: severities[index] ?? null })),
    }));
    const some = { severities: ['critical', 'important'] };
    expect(chosen({ ...graded, offers }, some)).toEqual({ selected: ['a 3', 'c 3'], skipped: ['b not-severe'] });
  });

  it('wants what baseline and step both approve', () => {
    const names = host('kernel', 'kernel-doc', 'nginx');
    expect(chosen(names, { approved: ['kernel*', 'nginx'], alsoApproved: ['*e*', '*-doc'] }).selected).toEqual([
      'kernel 3',
      'kernel-doc 3',
    ]);
    expect(chosen(names, { alsoApproved: ['nginx'] }).selected).toEqual(['nginx 3']);
  });

  it('of tested versions takes the newest on offer, and tells what is beyond and what is gone', () => {
    const tested = (versions: Record<string, string[]>) =>
      new Map(Object.entries(versions).map(([name, all]) => [`${name}:amd64`, new Set(all)]));
    const of = (versions: Record<string, string[]>, some: Partial<PatchRules> = {}) =>
      chosen(host('a', 'b'), { ...some, tested: tested(versions) });
    expect(of({ a: ['3'], b: ['1', '2'] })).toEqual({ selected: ['a 3', 'b 2'], skipped: ['b not-tested'] });
    expect(of({ a: ['1'] })).toEqual({ selected: [], skipped: ['a not-tested', 'b not-tested'] });
    expect(of({ a: ['2.5', '2'], b: ['2.5'] })).toEqual({
      selected: ['a 2'],
      skipped: ['a not-tested', 'b not-tested', 'a gone', 'b gone'],
    });
    expect(of({ a: ['9'], b: ['3'] }, { rejected: ['a'] })).toEqual({ selected: ['b 3'], skipped: ['a rejected'] });
    // A security update alone is wanted: a newer version that is none is not beyond it.
    expect(of({ a: ['3'], b: ['2'] }, { updates: 'security' })).toEqual({
      selected: ['b 2'],
      skipped: ['a not-tested'],
    });
  });

  it('of exact versions takes those that are offered, and says of each other one why not', () => {
    const versions = ['2', '9', '0.5', '1'].map((version) => ({ name: 'a', version }));
    const found = chosen(host('a'), { updates: 'exact', versions: [...versions, { name: 'b', version: '1' }] });
    expect(found).toEqual({
      selected: ['a 2'],
      skipped: ['a not-offered', 'a newer-installed', 'b not-installed'],
    });
  });
});

describe('names and versions', () => {
  it.each([
    ['*', 'anything', true],
    ['lib*', 'libc6', true],
    ['lib*6', 'libc6', true],
    ['lib*6', 'libc7', false],
    ['l?b*', 'lib', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axxbyy', false],
    ['linux', 'linux-image', false],
    ['g++', 'g++', true],
  ])('pattern %s and %s: %s', (pattern, name, expected) => {
    expect(matchesPackagePattern(pattern, name)).toBe(expected);
  });

  it('a pattern of many stars costs no more than its length allows', () => {
    expect(matchesPackagePattern('*a'.repeat(90), `${'a'.repeat(199)}b`)).toBe(false);
  });

  it('cannot be taken for options, or for more than one argument', () => {
    for (const bad of ['-y', '--allow', 'a b', '$(id)', '', 'a\n']) {
      expect(packageVersionSchema.safeParse(bad).success).toBe(false);
      if (!bad.startsWith('-')) expect(packagePatternSchema.safeParse(bad).success).toBe(false);
    }
  });
});
