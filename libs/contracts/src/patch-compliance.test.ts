import { describe, expect, it } from '@jest/globals';
import type { HostPackages } from './patch.js';
import { assessPatches, type ScannedHost } from './patch-compliance.js';
import { withNeedsOther, type PatchRules } from './patch-selection.js';

const DAY_MS = 86_400_000;
const nowMs = 100 * DAY_MS;
const rules: PatchRules = { updates: 'security', versions: [], approved: [], rejected: [], delayMs: 0 };
const at = { nowMs, maxAgeMs: 7 * DAY_MS };

function scanned(more: Partial<ScannedHost> = {}, reboot: HostPackages['reboot']['state'] = 'not-needed'): ScannedHost {
  const is = { architecture: 'all', state: 'installed' as const, isHeld: false };
  const packages = [
    { ...is, name: 'fresh', version: '2' },
    { ...is, name: 'open', version: '1' },
    { ...is, name: 'kept', version: '1', isHeld: true },
    { ...is, name: 'plain', version: '1' },
  ];
  const offer = (name: string, isSecurity: boolean, isHeld = false) => ({
    name,
    architecture: 'all',
    installed: '1',
    isHeld,
    newer: [{ version: '2', isSecurity, severity: null }],
  });
  const offers = [offer('open', true), offer('kept', true, true), offer('plain', false)];
  const host = {
    manager: 'apt' as const,
    packages,
    offers,
    isInterrupted: false,
    reboot: { state: reboot, reasons: [] },
    hasSecuritySource: true,
    listsReadAt: new Date(nowMs - DAY_MS),
  };
  const firstSeen = new Map([
    ['open:all=2', new Date(nowMs - 12.5 * DAY_MS)],
    ['kept:all=2', new Date(nowMs - 3 * DAY_MS)],
  ]);
  return { host, scannedAtMs: nowMs - DAY_MS, firstSeen, results: new Map(), ...more };
}
const states = (scan: ScannedHost | null, some: Partial<PatchRules> = {}) => {
  const { compliance, open, exposedDays } = assessPatches(scan, { ...rules, ...some }, at);
  return { compliance, open: open.map(({ name, state }) => `${name} ${state}`), exposedDays };
};

describe('compliance of an asset', () => {
  it('that was never scanned, or long ago, is not good', () => {
    expect(states(null)).toEqual({ compliance: 'never-scanned', open: [], exposedDays: null });
    const old = scanned({ scannedAtMs: nowMs - 8 * DAY_MS });
    expect(states(old).compliance).toBe('outdated');
  });

  it('counts what is missing, the held included, for as long as it is on offer', () => {
    expect(states(scanned())).toEqual({
      compliance: 'non-compliant',
      open: ['open missing', 'kept missing'],
      exposedDays: 12,
    });
    const { counts } = assessPatches(scanned(), rules, at);
    expect(counts).toMatchObject({ installed: 2, missing: 2 });
  });

  it('says what the wanted version needs, of the version that was looked at alone', () => {
    const { host, ...scan } = scanned();
    const needs = (version: string) => {
      const skipped = [
        { name: 'open', version, reason: 'needs-other' as const, detail: 'it needs lib, which is rejected' },
        { name: 'kept', version: '2', reason: 'held' as const, detail: 'a pin' },
      ];
      const { open } = assessPatches({ ...scan, host: withNeedsOther(host, skipped) }, rules, at);
      return open.map(({ name, state, needsOther }) => [name, state, needsOther]);
    };
    expect(needs('2')).toEqual([
      ['open', 'missing', 'it needs lib, which is rejected'],
      ['kept', 'missing', null],
    ]);
    expect(needs('3')).toEqual([
      ['open', 'missing', null],
      ['kept', 'missing', null],
    ]);
  });

  it('says that what is missing is held, where only an offer that is held has it', () => {
    const { host, ...scan } = scanned();
    const [open] = host.offers;
    const fix = { version: '3', isSecurity: true, severity: null };
    const pinned = { ...open!, isHeld: true, isPinned: true, newer: [fix, ...open!.newer] };
    const told = assessPatches({ ...scan, host: { ...host, offers: [...host.offers, pinned] } }, rules, at).open;
    expect(told.map(({ name, wanted, isHeld }) => [name, wanted, isHeld])).toEqual([
      ['kept', '2', true],
      ['open', '3', true],
    ]);
    expect(assessPatches(scanned(), rules, at).open.find(({ name }) => name === 'open')?.isHeld).toBe(false);
  });

  it('is good where everything that is wanted is there', () => {
    expect(states(scanned(), { approved: ['fresh'] })).toEqual({
      compliance: 'compliant',
      open: [],
      exposedDays: null,
    });
    // What is not old enough yet is not wanted yet.
    expect(states(scanned(), { delayMs: 30 * DAY_MS }).compliance).toBe('compliant');
  });

  it('tells what failed, what is rejected, what is not there, and what others approved', () => {
    const failed = scanned({ results: new Map([['open=2', 'failed']]) });
    expect(states(failed).open).toEqual(['open failed', 'kept missing']);
    expect(states(scanned(), { rejected: ['open', 'kept'] })).toMatchObject({
      compliance: 'non-compliant',
      open: ['kept installed-rejected', 'open installed-rejected'],
    });
    expect(states(scanned(), { approved: ['fresh', 'absent'] })).toMatchObject({
      compliance: 'compliant',
      open: ['absent not-applicable'],
    });
    const { counts } = assessPatches(scanned(), { ...rules, approved: ['fresh'] }, at);
    expect(counts).toMatchObject({ installed: 1, 'installed-other': 3 });
  });

  it('waits for the reboot that what was installed asks for', () => {
    const results = new Map([['fresh=2', 'installed' as const]]);
    expect(states(scanned({ results }, 'needed'), { approved: ['fresh'] })).toMatchObject({
      compliance: 'non-compliant',
      open: ['fresh installed-pending-reboot'],
    });
    expect(states(scanned({ results }), { approved: ['fresh'] }).compliance).toBe('compliant');
  });

  it('takes a package that is half there for failed, whatever its version says', () => {
    const { host } = scanned();
    const fresh = host.packages.map((one) =>
      one.name === 'fresh' ? { ...one, state: 'half-configured' as const } : one,
    );
    const half = scanned({ host: { ...host, packages: fresh } });
    for (const some of [{ approved: ['fresh'] }, { approved: ['fresh'], rejected: ['fresh'] }])
      expect(states(half, some)).toMatchObject({ compliance: 'non-compliant', open: ['fresh failed'] });
    const told = scanned({ results: new Map([['fresh=2', 'failed']]) });
    expect(states(told, { approved: ['fresh'] })).toMatchObject({ open: ['fresh failed'] });
    const cutOff = scanned({ host: { ...host, isInterrupted: true } });
    expect(states(cutOff, { approved: ['fresh'] })).toMatchObject({ compliance: 'non-compliant', open: [] });
  });

  it('is not good while a reboot is asked for, whatever was installed last', () => {
    expect(states(scanned({}, 'needed'), { approved: ['fresh'] })).toMatchObject({
      compliance: 'non-compliant',
      open: [],
    });
  });

  it('is not good where nothing can be known', () => {
    const { host } = scanned();
    const state = (more: Partial<HostPackages>) =>
      states(scanned({ host: { ...host, ...more } }), { approved: ['fresh'] }).compliance;
    expect(state({})).toBe('compliant');
    expect(state({ hasSecuritySource: false })).toBe('no-security-source');
    expect(state({ listsReadAt: new Date(nowMs - 8 * DAY_MS) })).toBe('outdated');
    expect(state({ listsReadAt: null })).toBe('outdated');
    // What is open by old lists is open all the same.
    const old = scanned({ host: { ...host, listsReadAt: null, hasSecuritySource: false } });
    expect(states(old).compliance).toBe('non-compliant');
  });

  it('is exposed since the first wanted version, not since the last', () => {
    const at1 = (days: number, version: string, isSecurity = true) => ({
      version,
      isSecurity,
      seenAt: new Date(nowMs - days * DAY_MS),
    });
    // Not those that it has, that are newer than what it is offered, or that are no security updates.
    const known = new Map([
      ['open:all', [at1(90, '1'), at1(80, '1.2', false), at1(40, '1.5'), at1(12.5, '2'), at1(60, '3')]],
    ]);
    expect(states(scanned({ known }), { approved: ['open'] }).exposedDays).toBe(40);
    expect(states(scanned({ known }), { approved: ['open'], updates: 'all' }).exposedDays).toBe(80);
  });
});
