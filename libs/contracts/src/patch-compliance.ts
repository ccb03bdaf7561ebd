import { matchesPackagePattern, versionKey, type HostPackages } from './patch.js';
import { nameReason, selectUpdates, type FirstSeen, type PatchRules } from './patch-selection.js';

/** State of one package against rules: those of AWS Patch Manager for Linux. */
export const patchStates = [
  'installed',
  'installed-other',
  'installed-rejected',
  'installed-pending-reboot',
  'missing',
  'not-applicable',
  'failed',
] as const;
export type PatchState = (typeof patchStates)[number];

/**
 * Of an asset: `compliant` only where it was scanned lately and nothing is open. `never-scanned` and `outdated` say that nobody knows,
 * which is no good state.
 */
export const patchCompliances = ['compliant', 'non-compliant', 'outdated', 'never-scanned'] as const;
export type PatchCompliance = (typeof patchCompliances)[number];

/** What is known of an asset beside its rules. */
export interface ScannedHost {
  readonly host: HostPackages;
  readonly scannedAtMs: number;
  readonly firstSeen: FirstSeen;
  /** What the last installation came to, by `name=version`. */
  readonly results: ReadonlyMap<string, 'installed' | 'failed'>;
}

/** A package that is not simply installed. */
export interface OpenPatch {
  readonly name: string;
  readonly state: PatchState;
  readonly installed: string | null;
  /** The version that is wanted; null: none. */
  readonly wanted: string | null;
  readonly isSecurity: boolean;
  readonly isHeld: boolean;
  /** For how long a wanted version has been on offer: whole days; null where nothing is missing. */
  readonly exposedDays: number | null;
}

export interface PatchAssessment {
  readonly compliance: PatchCompliance;
  readonly counts: Readonly<Record<PatchState, number>>;
  /** All but those that are `installed` or `installed-other`; the longest exposed first. */
  readonly open: readonly OpenPatch[];
  /** The longest of those that are open; null: none is. */
  readonly exposedDays: number | null;
}

const DAY_MS = 86_400_000;
const openStates: ReadonlySet<PatchState> = new Set([
  'missing',
  'failed',
  'installed-rejected',
  'installed-pending-reboot',
]);

export const noPatchCounts = (): Record<PatchState, number> => ({
  installed: 0,
  'installed-other': 0,
  'installed-rejected': 0,
  'installed-pending-reboot': 0,
  missing: 0,
  'not-applicable': 0,
  failed: 0,
});

/** Pure: the same scan and rules come to the same whenever and wherever. A scan older than `maxAgeMs` says nothing any more. */
export function assessPatches(
  scan: ScannedHost | null,
  rules: PatchRules,
  { nowMs, maxAgeMs }: { readonly nowMs: number; readonly maxAgeMs: number },
): PatchAssessment {
  const counts = noPatchCounts();
  if (scan === null) return { compliance: 'never-scanned', counts, open: [], exposedDays: null };
  const open = [...assessed(scan, rules, nowMs)];
  for (const { state } of open) counts[state] += 1;
  const told = open
    .filter(({ state }) => state !== 'installed' && state !== 'installed-other')
    .sort((a, b) => (b.exposedDays ?? -1) - (a.exposedDays ?? -1) || (a.name < b.name ? -1 : 1));
  const days = told.map(({ exposedDays }) => exposedDays).filter((one) => one !== null);
  const isOpen = told.some(({ state }) => openStates.has(state));
  const isOld = nowMs - scan.scannedAtMs > maxAgeMs;
  const compliance = isOld ? 'outdated' : isOpen ? 'non-compliant' : 'compliant';
  return { compliance, counts, open: told, exposedDays: days.length === 0 ? null : Math.max(...days) };
}

function* assessed({ host, firstSeen, results }: ScannedHost, rules: PatchRules, nowMs: number): Generator<OpenPatch> {
  // What is held is as open as anything else: that somebody keeps it back closes no hole.
  const all = { ...host, offers: host.offers.map((one) => ({ ...one, isHeld: false })) };
  const { selected } = selectUpdates(all, rules, firstSeen, nowMs);
  const wanted = new Map(selected.map((one) => [`${one.name}:${one.architecture}`, one]));
  for (const { name, architecture, version, isHeld } of host.packages) {
    const one = { name, installed: version, wanted: null, isSecurity: false, isHeld, exposedDays: null };
    const update = wanted.get(`${name}:${architecture}`);
    const isNew = results.get(`${name}=${version}`) === 'installed' && host.reboot.state === 'needed';
    const reason = nameReason(name, rules);
    if (reason === 'rejected') yield { ...one, state: 'installed-rejected' };
    else if (update !== undefined) {
      const state = results.get(`${name}=${update.to}`) === 'failed' ? 'failed' : 'missing';
      const seen = firstSeen.get(versionKey({ name, architecture, version: update.to }))?.getTime() ?? nowMs;
      const exposedDays = Math.max(0, Math.floor((nowMs - seen) / DAY_MS));
      yield { ...one, state, wanted: update.to, isSecurity: update.isSecurity, exposedDays };
    } else if (isNew) yield { ...one, state: 'installed-pending-reboot' };
    else yield { ...one, state: reason === null ? 'installed' : 'installed-other' };
  }
  // Names without a star that are approved and not there.
  for (const name of rules.approved.filter((pattern) => !/[*?]/.test(pattern))) {
    if (host.packages.some((one) => matchesPackagePattern(name, one.name))) continue;
    const none = { installed: null, wanted: null, isSecurity: false, isHeld: false, exposedDays: null };
    yield { ...none, name, state: 'not-applicable' };
  }
}
