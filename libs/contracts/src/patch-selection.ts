import { compareVersions } from './package-versions.js';
import {
  matchesPackagePattern,
  versionKey,
  type HostPackages,
  type OfferedVersion,
  type PackageOffers,
} from './patch.js';

/** Which updates are wanted. */
export interface PatchRules {
  /** `exact`: the given versions and nothing else. */
  readonly updates: 'security' | 'all' | 'exact';
  readonly versions: readonly { readonly name: string; readonly version: string }[];
  /** Patterns of names; none: every name is approved. */
  readonly approved: readonly string[];
  /** Wins over `approved`. */
  readonly rejected: readonly string[];
  /** A version is left alone until it was first seen so long ago. */
  readonly delayMs: number;
  /** Patterns of which one has to match besides; none or absent: every name does. */
  readonly alsoApproved?: readonly string[];
  /** Of updates whose severity is known only these (lower case); absent: all. */
  readonly severities?: readonly string[];
  /** Only versions of these, by `name:architecture`; absent: any. */
  readonly tested?: TestedVersions;
}

/** Versions of packages that run on hosts that are well, by `name:architecture`. */
export type TestedVersions = ReadonlyMap<string, ReadonlySet<string>>;

/** Why a package that could be updated is left alone. */
export const patchSkipReasons = [
  'held',
  'rejected',
  'not-approved',
  'not-security',
  'not-severe',
  'too-new',
  'not-offered',
  'not-installed',
  'newer-installed',
  'needs-other',
  'after-repair',
  'not-tested',
  'gone',
] as const;
export type PatchSkipReason = (typeof patchSkipReasons)[number];

export interface SelectedUpdate {
  readonly name: string;
  readonly architecture: string;
  readonly from: string;
  readonly to: string;
  readonly isSecurity: boolean;
  /** Where that is another one than that of the package that is there. */
  readonly toArchitecture?: string;
}

export interface SkippedUpdate {
  readonly name: string;
  /** The version that is left alone: the newest, or the one that was asked for. */
  readonly version: string;
  readonly reason: PatchSkipReason;
  /** For people, where the reason alone does not say it. */
  readonly detail?: string | undefined;
}

export interface PatchSelection {
  readonly selected: readonly SelectedUpdate[];
  readonly skipped: readonly SkippedUpdate[];
  /** Where something is to be kept out: names, or `name=version`, of all that may be installed. Absent: whatever comes along. */
  readonly foreseen?: readonly string[];
}

/** The host with what a choice has found out beside what it says of itself: which versions need others. The same where none does. */
export function withNeedsOther(host: HostPackages, skipped: readonly SkippedUpdate[]): HostPackages {
  const needing = new Map(
    skipped.flatMap(({ name, version, reason, detail = '' }) =>
      reason === 'needs-other' ? [[`${name}=${version}`, { version, detail }] as const] : [],
    ),
  );
  if (needing.size === 0) return host;
  const offers = host.offers.map((offer) => {
    const found = offer.newer.find(({ version }) => needing.has(`${offer.name}=${version}`));
    const needsOther = found === undefined ? undefined : needing.get(`${offer.name}=${found.version}`);
    return needsOther === undefined ? offer : { ...offer, needsOther };
  });
  return { ...host, offers };
}

/** When each version was first seen, by `versionKey`; a version that is not there is seen now. */
export type FirstSeen = ReadonlyMap<string, Date>;

/** What the rules choose of what a host is offered. Pure: scan, plan, install and report come to the same. */
export function selectUpdates(
  host: HostPackages,
  rules: PatchRules,
  firstSeen: FirstSeen,
  nowMs: number,
): PatchSelection {
  return rules.updates === 'exact' ? selectExact(host, rules) : selectByRule(host, rules, firstSeen, nowMs);
}

/** Whether its name alone keeps a package from being updated. */
export function nameReason(
  name: string,
  { approved, rejected, alsoApproved = [] }: Pick<PatchRules, 'approved' | 'rejected' | 'alsoApproved'>,
): PatchSkipReason | null {
  if (rejected.length === 0 && approved.length === 0 && alsoApproved.length === 0) return null;
  const matches = (pattern: string): boolean => matchesPackagePattern(pattern, name);
  if (rejected.some(matches)) return 'rejected';
  const isApproved = [approved, alsoApproved].every((patterns) => patterns.length === 0 || patterns.some(matches));
  return isApproved ? null : 'not-approved';
}

function updateOf(
  one: Pick<SelectedUpdate, 'name' | 'architecture' | 'from'>,
  { version: to, isSecurity, toArchitecture }: OfferedVersion,
): SelectedUpdate {
  return { ...one, to, isSecurity, ...(toArchitecture === undefined ? {} : { toArchitecture }) };
}

function isOfKind({ isSecurity }: OfferedVersion, { updates }: PatchRules): boolean {
  return updates === 'all' || isSecurity;
}

/** What nobody has graded may be the worst of all. */
export function isSevere(
  { severity }: Pick<OfferedVersion, 'severity'>,
  { severities }: Pick<PatchRules, 'severities'>,
): boolean {
  return severities === undefined || severity === null || severities.includes(severity.toLowerCase());
}

function selectByRule(host: HostPackages, rules: PatchRules, firstSeen: FirstSeen, nowMs: number): PatchSelection {
  const selected: SelectedUpdate[] = [];
  const skipped: SkippedUpdate[] = [];
  for (const offer of host.offers) {
    const { name, architecture, installed: from, newer } = offer;
    const isOldEnough = ({ version }: OfferedVersion): boolean => {
      const seen = firstSeen.get(versionKey({ name, architecture, version }));
      return nowMs - (seen?.getTime() ?? nowMs) >= rules.delayMs;
    };
    const isTested = ({ version, toArchitecture = architecture }: OfferedVersion): boolean =>
      rules.tested === undefined || rules.tested.get(`${name}:${toArchitecture}`)?.has(version) === true;
    const ofKind = newer.filter((one) => isOfKind(one, rules));
    const wanted = ofKind.filter((one) => isSevere(one, rules));
    const [best, ...older] = wanted.filter(isOldEnough);
    const chosen = best === undefined ? undefined : [best, ...older].find(isTested);
    const reason = nameReason(name, rules) ?? offerReason(offer, { ofKind, wanted, best, chosen });
    if (reason !== null) {
      const version = (best ?? wanted[0] ?? newer[0])?.version ?? '';
      skipped.push({ name, version, reason, ...pinDetail(reason, offer) });
    }
    if ((reason === null || reason === 'not-tested') && chosen !== undefined)
      selected.push(updateOf({ name, architecture, from }, chosen));
  }
  return { selected, skipped: [...skipped, ...goneVersions(host, rules)] };
}

/** That it is not a hold that holds it. */
function pinDetail(reason: PatchSkipReason, { isPinned }: Pick<PackageOffers, 'isPinned'>): { detail?: string } {
  if (reason !== 'held' || isPinned !== true) return {};
  return { detail: "a pin of apt's preferences, or its default release, keeps it from being chosen" };
}

/** Why what is on offer, or the best of it, is left alone; null: it is not. */
function offerReason(
  { isHeld }: PackageOffers,
  {
    ofKind,
    wanted,
    best,
    chosen,
  }: Readonly<{
    ofKind: readonly OfferedVersion[];
    wanted: readonly OfferedVersion[];
    best: OfferedVersion | undefined;
    chosen: OfferedVersion | undefined;
  }>,
): PatchSkipReason | null {
  if (ofKind.length === 0) return 'not-security';
  if (wanted.length === 0) return 'not-severe';
  if (isHeld) return 'held';
  if (best === undefined) return 'too-new';
  return chosen === best ? null : 'not-tested';
}

/** Versions that were tested, are newer than what is there, and that no source offers this host (any more). */
function goneVersions({ manager, packages, offers }: HostPackages, rules: PatchRules): SkippedUpdate[] {
  const { tested } = rules;
  if (tested === undefined) return [];
  const offered = new Map(offers.map(({ name, architecture, newer }) => [`${name}:${architecture}`, newer]));
  return packages.flatMap(({ name, architecture, version: installed }) => {
    const key = `${name}:${architecture}`;
    const newest = [...(tested.get(key) ?? [])].reduce(
      (best, one) => (compareVersions(manager, one, best) > 0 ? one : best),
      installed,
    );
    const isOffered = offered.get(key)?.some(({ version }) => version === newest) === true;
    if (newest === installed || isOffered || nameReason(name, rules) !== null) return [];
    return [{ name, version: newest, reason: 'gone' as const, detail: 'tested, and not on offer here' }];
  });
}

function selectExact({ manager, packages, offers }: HostPackages, rules: PatchRules): PatchSelection {
  const selected: SelectedUpdate[] = [];
  const skipped: SkippedUpdate[] = [];
  for (const { name, version } of rules.versions) {
    const installed = packages.filter((one) => one.name === name);
    const refused = nameReason(name, rules) ?? (installed.length === 0 ? 'not-installed' : null);
    if (refused !== null) skipped.push({ name, version, reason: refused });
    for (const { architecture, version: from, isHeld } of refused === null ? installed : []) {
      if (from === version) continue;
      // What is kept back stands in an offer of its own.
      const [offer] = offers
        .filter((one) => one.name === name && one.architecture === architecture)
        .filter(({ newer }) => newer.some((one) => one.version === version))
        .sort((a, b) => Number(a.isHeld) - Number(b.isHeld));
      const offered = offer?.newer.find((one) => one.version === version);
      if (offer === undefined || offered === undefined) {
        const reason = compareVersions(manager, from, version) > 0 ? 'newer-installed' : 'not-offered';
        skipped.push({ name, version, reason });
      } else if (isHeld || offer.isHeld) skipped.push({ name, version, reason: 'held', ...pinDetail('held', offer) });
      else selected.push(updateOf({ name, architecture, from }, offered));
    }
  }
  return { selected, skipped };
}
