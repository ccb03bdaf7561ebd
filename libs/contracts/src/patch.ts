import { z } from 'zod';

/** Programs that install packages on a host and know which newer ones there are. */
export const packageManagers = ['apt', 'dnf'] as const;
export type PackageManager = (typeof packageManagers)[number];

/** What the manager says of a package that is (partly) there; all but `installed` are left by something that was cut off or failed. */
export const packageStates = [
  'installed',
  'unpacked',
  'half-configured',
  'half-installed',
  'triggers-pending',
] as const;
export type PackageState = (typeof packageStates)[number];

export interface HostPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  readonly state: PackageState;
  /** Somebody told the manager to leave it alone (`apt-mark hold`). */
  readonly isHeld: boolean;
}

/** A version that the host's package sources offer. */
export interface OfferedVersion {
  readonly version: string;
  /** It comes from an archive of security updates. */
  readonly isSecurity: boolean;
  /** As the archive says it; null: it says none. */
  readonly severity: string | null;
  /** Where that is another one than that of the package that is there. */
  readonly toArchitecture?: string;
}

/** An installed package of which the sources offer another version. */
export interface PackageOffers {
  readonly name: string;
  readonly architecture: string;
  readonly installed: string;
  readonly isHeld: boolean;
  /** What holds it are pins (apt_preferences(5)), which keep these from being chosen. */
  readonly isPinned?: boolean;
  /** Newer than the installed one, up to the one that the manager would choose; the newest first. Never empty. */
  readonly newer: readonly OfferedVersion[];
  /** A version of these that was wanted and left alone, because it does not go without what is to be kept out, or what cannot be had. */
  readonly needsOther?: NeedsOther;
}

export interface NeedsOther {
  readonly version: string;
  /** For people: what it needs. */
  readonly detail: string;
}

export interface RebootNeed {
  /** `unknown`: nothing on the host can tell. */
  readonly state: 'needed' | 'not-needed' | 'unknown';
  /** For people: what asks for it, or why it cannot be told. */
  readonly reasons: readonly string[];
}

/** What a host says of its packages at one moment. */
export interface HostPackages {
  readonly manager: PackageManager;
  readonly packages: readonly HostPackage[];
  readonly offers: readonly PackageOffers[];
  /** A change of packages was cut off, and has to be repaired before the next. */
  readonly isInterrupted: boolean;
  readonly reboot: RebootNeed;
  /** A source of it carries security updates; absent: not looked for. Without one, none is ever on offer. */
  readonly hasSecuritySource?: boolean;
  /** When the lists of the sources were last read, as far as the host shows it; null or absent: it cannot be told. */
  readonly listsReadAt?: Date | null;
  /** Null or absent: it cannot be told. */
  readonly bootedAt?: Date | null;
  /** Such as `debian 12`; null or absent: it does not say. */
  readonly release?: string | null;
}

/** A version of a package, as the ledger knows it. */
export interface PackageVersion {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
}

export const packageNameSchema = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9+._-]*$/, { message: 'must be the name of a package' });

/** Never begins with a dash, which a program could take for an option. */
export const packageVersionSchema = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9.+~:^_-]*$/, { message: 'must be a version as the package manager writes it' });

/** Names of packages: `*` stands for any text, `?` for one character. */
export const packagePatternSchema = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9+._*?-]+$/, { message: 'must be the name of a package, in which * and ? may stand for others' });

/** Takes linear time in practice: a star that fails is tried again only from the last one (no backtracking over several). */
export function matchesPackagePattern(pattern: string, name: string): boolean {
  let [at, from, star, resume] = [0, 0, -1, 0];
  while (from < name.length) {
    if (pattern[at] === '*') {
      star = at;
      resume = from;
      at += 1;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[from])) {
      at += 1;
      from += 1;
    } else if (star >= 0) {
      resume += 1;
      from = resume;
      at = star + 1;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

/** Key of a version in maps. */
export function versionKey({ name, architecture, version }: PackageVersion): string {
  return `${name}:${architecture}=${version}`;
}
