import { compareRpmVersions, type HostPackage, type OfferedVersion, type PackageOffers } from '@fettle/contracts';
import { withAdvisories, type Advised } from './parse-advisories.js';
import type { RpmPackage } from './parse-packages.js';

const NO_ARCHITECTURE = 'noarch';

export interface Offered {
  /** Newer than what is installed, those included that are kept back. */
  readonly upgrades: readonly RpmPackage[];
  readonly advised: readonly Advised[];
  /** Whether dnf would choose it. */
  readonly allows: (one: RpmPackage) => boolean;
}

/**
 * What each package is offered. A rule that lets some versions through only narrows the choice, and what nothing is let through of is
 * held; so is, in an offer of its own after the other, what is newer than all that is let through and holds the fix of an advisory:
 * that somebody keeps it back closes no hole.
 */
export function offersOf(packages: readonly HostPackage[], { upgrades, advised, allows }: Offered): PackageOffers[] {
  const byName = { upgrades: grouped(upgrades), advised: grouped(advised) };
  const native = nativeArchitecture(packages);
  return packages.flatMap(({ name, architecture, version: installed }) => {
    const fits = (one: RpmPackage): boolean => isSuccessor(architecture, one.architecture, native);
    const found = (byName.upgrades.get(name) ?? []).filter(fits);
    if (found.length === 0) return [];
    const advisories = (byName.advised.get(name) ?? []).filter(fits);
    const allowed = found.filter(allows);
    const offer = (isHeld: boolean, of: readonly RpmPackage[]): PackageOffers => {
      const newer = versionsOf(of, architecture, advisories);
      return { name, architecture, installed, isHeld, newer };
    };
    if (allowed.length === 0) return [offer(true, found)];
    const isKeptBack = ({ version }: Advised): boolean => isAtLeast(found, version) && !isAtLeast(allowed, version);
    return advisories.some(isKeptBack) ? [offer(false, allowed), offer(true, found)] : [offer(false, allowed)];
  });
}

const isAtLeast = (some: readonly RpmPackage[], version: string): boolean =>
  some.some((one) => compareRpmVersions(one.version, version) >= 0);

/** A package may become one for any architecture, or end to be: dnf takes it for the next version of the same. */
function isSuccessor(from: string, to: string, native: string | null): boolean {
  if (from === to || to === NO_ARCHITECTURE) return true;
  return from === NO_ARCHITECTURE && (native === null || to === native);
}

/** That of most packages that are for one; null: none is. */
function nativeArchitecture(packages: readonly HostPackage[]): string | null {
  const counts = new Map<string, number>();
  for (const { architecture } of packages)
    if (architecture !== NO_ARCHITECTURE) counts.set(architecture, (counts.get(architecture) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most?.[0] ?? null;
}

function versionsOf(
  some: readonly RpmPackage[],
  architecture: string,
  advisories: readonly Advised[],
): OfferedVersion[] {
  // Of its own architecture where there is one of it.
  const architectures = new Map(some.map((one) => [one.version, one.architecture]));
  for (const one of some) if (one.architecture === architecture) architectures.set(one.version, architecture);
  return withAdvisories([...architectures.keys()], advisories).map((one) => {
    const toArchitecture = architectures.get(one.version) ?? architecture;
    return toArchitecture === architecture ? one : { ...one, toArchitecture };
  });
}

function grouped<One extends RpmPackage>(all: readonly One[]): ReadonlyMap<string, readonly One[]> {
  const found = new Map<string, One[]>();
  for (const one of all) {
    const some = found.get(one.name) ?? [];
    some.push(one);
    found.set(one.name, some);
  }
  return found;
}
