import { compareRpmVersions, packageNameSchema, packageVersionSchema, type HostPackage } from '@fettle/contracts';

/** A package in one version. */
export interface RpmPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
}

export const packageKey = ({ name, architecture }: Pick<RpmPackage, 'name' | 'architecture'>): string =>
  `${name}:${architecture}`;

/** As dnf takes it for one version of one package. */
export const packageSpec = ({ name, architecture, version }: RpmPackage): string =>
  `${name}-${version}.${architecture}`;

/**
 * Lines of name, architecture and version between tabs. What could be taken for something else than one package (an option, a pattern)
 * is left out, as are the keys that rpm keeps as packages. An epoch of 0 that a package names is left out as well: rpm writes it, dnf does not.
 */
export function parsePackages(text: string): RpmPackage[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', architecture = '', written = ''] = line.split('\t');
    const version = withoutNoEpoch(written);
    if (!/^[a-z0-9_]+$/.test(architecture) || name === 'gpg-pubkey') return [];
    const isOne = packageNameSchema.safeParse(name).success && packageVersionSchema.safeParse(version).success;
    return isOne ? [{ name, architecture, version }] : [];
  });
}

/** `0:1.0-1` is `1.0-1`. */
export const withoutNoEpoch = (version: string): string => version.replace(/^0:/, '');

/** What is there of each package: of those that are there several times (kernels), the newest. */
export function newestOfEach(
  packages: readonly RpmPackage[],
  halfDone: ReadonlySet<string>,
  isHeld: (key: string) => boolean,
): HostPackage[] {
  const newest = new Map<string, RpmPackage>();
  for (const one of packages) {
    const key = packageKey(one);
    const known = newest.get(key);
    if (known === undefined || compareRpmVersions(one.version, known.version) > 0) newest.set(key, one);
  }
  return [...newest].map(([key, one]) => ({
    ...one,
    // The new version is there and the old one as well: its scripts may not have run.
    state: halfDone.has(key) ? 'half-configured' : 'installed',
    isHeld: isHeld(key),
  }));
}
