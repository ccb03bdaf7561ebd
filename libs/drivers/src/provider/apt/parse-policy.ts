import type { OfferedVersion } from '@fettle/contracts';

/** Descriptions of package sources that carry security updates. */
export type SecuritySources = ReadonlySet<string>;

/**
 * Sources from `apt-get indextargets`: description, origin, label, suite and codename between tabs. Debian labels its archive of
 * security updates `Debian-Security` and ends its suite in `-security`, as Ubuntu does; before Debian 11 it was `/updates`.
 */
export function parseSecuritySources(text: string): SecuritySources {
  const found = new Set<string>();
  for (const line of text.split('\n')) {
    const [description = '', , label = '', suite = '', codename = ''] = line.split('\t');
    const isSecurity =
      label === 'Debian-Security' ||
      [suite, codename].some((name) => name.endsWith('-security') || /\/updates$/.test(name));
    if (description !== '' && isSecurity) found.add(description);
  }
  return found;
}

/** What `apt-cache policy` says of one package. */
export interface AptPolicy {
  /** As it was asked for: `name`, or `name:architecture` where it is not the host's own. */
  readonly name: string;
  readonly installed: string | null;
  readonly candidate: string | null;
  /** All versions, the newest first. */
  readonly versions: readonly OfferedVersion[];
}

interface Mutable {
  name: string;
  installed: string | null;
  candidate: string | null;
  versions: { version: string; isSecurity: boolean; severity: null }[];
}

const orNull = (version: string): string | null => (version === '(none)' ? null : version);

/** Reads the output of `apt-cache policy NAME...` (LC_ALL=C), whose version tables have the newest version first. */
export function parsePolicy(text: string, security: SecuritySources): AptPolicy[] {
  const found: Mutable[] = [];
  for (const line of text.split('\n')) {
    const current = found.at(-1);
    const header = /^(\S+):$/.exec(line);
    if (header?.[1] !== undefined) {
      found.push({ name: header[1], installed: null, candidate: null, versions: [] });
      continue;
    }
    if (current === undefined) continue;
    const known = /^ {2}(Installed|Candidate): (\S+)$/.exec(line);
    const row = /^ (?:\*\*\*| {3}) (\S+) -?\d+(?: \(phased \d+%\))?$/.exec(line);
    const source = /^ {6,}-?\d+ (.+)$/.exec(line);
    if (known?.[2] !== undefined) current[known[1] === 'Installed' ? 'installed' : 'candidate'] = orNull(known[2]);
    else if (row?.[1] !== undefined) current.versions.push({ version: row[1], isSecurity: false, severity: null });
    else if (source?.[1] !== undefined && security.has(source[1])) {
      const version = current.versions.at(-1);
      if (version !== undefined) version.isSecurity = true;
    }
  }
  return found;
}

/**
 * Versions newer than the installed one, up to the candidate. A candidate that is older than what is installed offers nothing. Where
 * a security update lies between the two, each version above it holds it as well, and is none itself.
 */
export function newerVersions({ installed, candidate, versions }: AptPolicy): OfferedVersion[] {
  const here = versions.findIndex(({ version }) => version === installed);
  const best = versions.findIndex(({ version }) => version === candidate);
  return here < 0 || best < 0 ? [] : versions.slice(best, here);
}
