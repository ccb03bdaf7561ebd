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
}

/** Why a package that could be updated is left alone. */
export const patchSkipReasons = [
  'held',
  'rejected',
  'not-approved',
  'not-security',
  'too-new',
  'not-offered',
  'not-installed',
  'newer-installed',
  'needs-other',
] as const;
export type PatchSkipReason = (typeof patchSkipReasons)[number];

export interface SelectedUpdate {
  readonly name: string;
  readonly architecture: string;
  readonly from: string;
  readonly to: string;
  readonly isSecurity: boolean;
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
  return rules.updates === 'exact' ? selectExact(host, rules) : selectByRule(host.offers, rules, firstSeen, nowMs);
}

/** Whether its name alone keeps a package from being updated. */
export function nameReason(
  name: string,
  { approved, rejected }: Pick<PatchRules, 'approved' | 'rejected'>,
): PatchSkipReason | null {
  if (rejected.some((pattern) => matchesPackagePattern(pattern, name))) return 'rejected';
  const isApproved = approved.length === 0 || approved.some((pattern) => matchesPackagePattern(pattern, name));
  return isApproved ? null : 'not-approved';
}

function selectByRule(
  offers: readonly PackageOffers[],
  rules: PatchRules,
  firstSeen: FirstSeen,
  nowMs: number,
): PatchSelection {
  const selected: SelectedUpdate[] = [];
  const skipped: SkippedUpdate[] = [];
  for (const offer of offers) {
    const { name, architecture, installed: from } = offer;
    const isOldEnough = ({ version }: OfferedVersion): boolean => {
      const seen = firstSeen.get(versionKey({ name, architecture, version }));
      return nowMs - (seen?.getTime() ?? nowMs) >= rules.delayMs;
    };
    const wanted = offer.newer.filter(({ isSecurity }) => rules.updates === 'all' || isSecurity);
    const chosen = wanted.find(isOldEnough);
    const reason =
      nameReason(name, rules) ??
      (wanted.length === 0 ? 'not-security' : offer.isHeld ? 'held' : chosen === undefined ? 'too-new' : null);
    if (reason !== null) skipped.push({ name, version: (wanted[0] ?? offer.newer[0])?.version ?? '', reason });
    else if (chosen !== undefined)
      selected.push({ name, architecture, from, to: chosen.version, isSecurity: chosen.isSecurity });
  }
  return { selected, skipped };
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
      const offered = offers
        .find((one) => one.name === name && one.architecture === architecture)
        ?.newer.find((one) => one.version === version);
      if (offered === undefined) {
        const reason = compareVersions(manager, from, version) > 0 ? 'newer-installed' : 'not-offered';
        skipped.push({ name, version, reason });
      } else if (isHeld) skipped.push({ name, version, reason: 'held' });
      else selected.push({ name, architecture, from, to: version, isSecurity: offered.isSecurity });
    }
  }
  return { selected, skipped };
}
