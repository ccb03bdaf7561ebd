import { compareVersions } from './package-versions.js';
import { matchesPackagePattern, versionKey, type HostPackages } from './patch.js';
import {
  isSevere,
  nameReason,
  selectUpdates,
  type FirstSeen,
  type PatchRules,
  type SelectedUpdate,
} from './patch-selection.js';
import { worstSeverity } from './patch-severity.js';

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
 * Of an asset: `compliant` only where it was scanned lately, by lists that were read lately, and nothing is open. The others say that
 * nobody knows, which is no good state: `no-security-source` of a host none of whose sources carries security updates.
 */
export const patchCompliances = [
  'compliant',
  'non-compliant',
  'outdated',
  'never-scanned',
  'no-security-source',
] as const;
export type PatchCompliance = (typeof patchCompliances)[number];

/** What is known of an asset beside its rules. */
export interface ScannedHost {
  readonly host: HostPackages;
  readonly scannedAtMs: number;
  readonly firstSeen: FirstSeen;
  /** When versions of packages that are on offer now were first seen, those included that no source offers any more; by `name:architecture`. */
  readonly known?: ReadonlyMap<string, readonly KnownVersion[]>;
  /** What installations since the host's last boot came to (of those before it only failures of the last one), by `name=version`. */
  readonly results: ReadonlyMap<string, 'installed' | 'failed'>;
}

/** A version as the ledger has it. */
export interface KnownVersion {
  readonly version: string;
  readonly isSecurity: boolean;
  /** Null or absent: the archive says none. */
  readonly severity?: string | null;
  readonly seenAt: Date;
}

/** A package that is not simply installed. */
export interface OpenPatch {
  readonly name: string;
  readonly state: PatchState;
  readonly installed: string | null;
  /** The version that is wanted; null: none. */
  readonly wanted: string | null;
  readonly isSecurity: boolean;
  /** The worst of what is on offer up to the wanted version, as the archive says it; null: it says none, or nothing is missing. */
  readonly severity: string | null;
  readonly isHeld: boolean;
  /** What the wanted version needs, where the last look found that it does not go without; null: nothing that is known. */
  readonly needsOther: string | null;
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
  const told: OpenPatch[] = [];
  for (const one of assessed(scan, rules, nowMs)) {
    counts[typeof one === 'string' ? one : one.state] += 1;
    if (typeof one !== 'string') told.push(one);
  }
  told.sort((a, b) => (b.exposedDays ?? -1) - (a.exposedDays ?? -1) || (a.name < b.name ? -1 : 1));
  const days = told.map(({ exposedDays }) => exposedDays).filter((one) => one !== null);
  const { isInterrupted, reboot } = scan.host;
  const isOpen = isInterrupted || reboot.state === 'needed' || told.some(({ state }) => openStates.has(state));
  const compliance = isOpen && !isOld(scan.scannedAtMs) ? 'non-compliant' : whatIsKnown(scan, isOld);
  return { compliance, counts, open: told, exposedDays: days.length === 0 ? null : Math.max(...days) };

  function isOld(atMs: number): boolean {
    return nowMs - atMs > maxAgeMs;
  }
}

/** Of a host with nothing open: whether that means anything. */
function whatIsKnown({ host, scannedAtMs }: ScannedHost, isOld: (atMs: number) => boolean): PatchCompliance {
  const readAt = host.listsReadAt ?? null;
  if (isOld(scannedAtMs) || readAt === null || isOld(readAt.getTime())) return 'outdated';
  return host.hasSecuritySource === true ? 'compliant' : 'no-security-source';
}

/** Of most packages nothing but their state: a report looks at millions. */
function* assessed(
  scan: ScannedHost,
  rules: PatchRules,
  nowMs: number,
): Generator<OpenPatch | 'installed' | 'installed-other'> {
  const { host, results } = scan;
  // What is held is as open as anything else: that somebody keeps it back closes no hole.
  const all = { ...host, offers: host.offers.map((one) => ({ ...one, isHeld: false })) };
  const { selected } = selectUpdates(all, rules, scan.firstSeen, nowMs);
  const wanted = new Map(selected.map((one) => [`${one.name}:${one.architecture}`, one]));
  const wantedNames = new Set(selected.map(({ name }) => name));
  for (const { name, architecture, version, state: stands, isHeld } of host.packages) {
    const update = wantedNames.has(name) ? wanted.get(`${name}:${architecture}`) : undefined;
    const result = results.size === 0 ? undefined : results.get(`${name}=${version}`);
    const isNew = result === 'installed' && host.reboot.state === 'needed';
    const reason = nameReason(name, rules);
    // Half there is not there, whatever its version says.
    const isBroken = stands !== 'installed' || result === 'failed';
    if (update === undefined && !isBroken && !isNew && reason !== 'rejected') {
      yield reason === null ? 'installed' : 'installed-other';
      continue;
    }
    const nothing = { wanted: null, isSecurity: false, severity: null, needsOther: null, exposedDays: null };
    const one = { ...nothing, name, installed: version, isHeld };
    if (update !== undefined && reason !== 'rejected') {
      const state = isBroken || results.get(`${name}=${update.to}`) === 'failed' ? 'failed' : 'missing';
      const exposedDays = Math.max(0, Math.floor((nowMs - exposedSince(scan, rules, update, nowMs)) / DAY_MS));
      const severity = severityOf(host, update);
      const { to, isSecurity } = update;
      yield {
        ...one,
        state,
        wanted: to,
        isSecurity,
        severity,
        isHeld: isHeld || isKeptBack(host, update),
        needsOther: neededBy(host, update),
        exposedDays,
      };
    } else if (isBroken) yield { ...one, state: 'failed' };
    else if (reason === 'rejected') yield { ...one, state: 'installed-rejected' };
    else yield { ...one, state: 'installed-pending-reboot' };
  }
  // Names without a star that are approved and not there.
  for (const name of rules.approved.filter((pattern) => !/[*?]/.test(pattern))) {
    if (host.packages.some((one) => matchesPackagePattern(name, one.name))) continue;
    const none = {
      installed: null,
      wanted: null,
      isSecurity: false,
      isHeld: false,
      needsOther: null,
      exposedDays: null,
    };
    yield { ...none, severity: null, name, state: 'not-applicable' };
  }
}

/** Whether the version is on offer only as one that is held. */
function isKeptBack({ offers }: HostPackages, { name, architecture, to }: SelectedUpdate): boolean {
  const having = offers.filter(
    (one) => one.name === name && one.architecture === architecture && one.newer.some(({ version }) => version === to),
  );
  return having.length > 0 && having.every(({ isHeld }) => isHeld);
}

/** What the wanted version does not go without, as the last look found it. */
function neededBy({ offers }: HostPackages, { name, architecture, to }: SelectedUpdate): string | null {
  const found = offers.find(
    (one) => one.name === name && one.architecture === architecture && one.needsOther?.version === to,
  );
  return found?.needsOther?.detail ?? null;
}

/** Of all that the wanted version mends. */
function severityOf({ manager, offers }: HostPackages, { name, architecture, to }: SelectedUpdate): string | null {
  const newer = offers.flatMap((one) => (one.name === name && one.architecture === architecture ? one.newer : []));
  return worstSeverity(newer.filter(({ version }) => compareVersions(manager, version, to) <= 0));
}

/** Since when there is a wanted version newer than the one that is there: a newer one does not begin it anew. */
function exposedSince(
  { host, firstSeen, known }: ScannedHost,
  rules: PatchRules,
  { name, architecture, from, to }: SelectedUpdate,
  nowMs: number,
): number {
  const since = (known?.get(`${name}:${architecture}`) ?? [])
    .filter(({ isSecurity }) => rules.updates !== 'security' || isSecurity)
    .filter(({ severity = null }) => isSevere({ severity }, rules))
    .filter(({ version }) => compareVersions(host.manager, version, from) > 0)
    .filter(({ version }) => compareVersions(host.manager, version, to) <= 0)
    .map(({ seenAt }) => seenAt.getTime());
  return Math.min(firstSeen.get(versionKey({ name, architecture, version: to }))?.getTime() ?? nowMs, ...since);
}
