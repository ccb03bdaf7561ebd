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

/**
 * Descriptions of sources of the host's own release: of Debian those with its codename, or this and `-security`, `-updates` or
 * `/updates`; Ubuntu has one codename for all, and tells those by the suite that nobody gets unasked. A security source that tells no
 * codename counts as one, and all of them do where nobody knows the host's.
 */
export function parseOwnSources(text: string, release: string | null): ReadonlySet<string> {
  const security = parseSecuritySources(text);
  const found = new Set<string>();
  for (const line of text.split('\n')) {
    const [description = '', , , suite = '', codename = ''] = line.split('\t');
    const isUnknown = release === null || codename === '';
    const isOwn = codename.replace(/(?:-security|-updates|\/updates)$/, '') === release;
    const isOptional = /-(?:backports|proposed)$/.test(suite);
    if (isUnknown ? security.has(description) : isOwn && !isOptional) found.add(description);
  }
  return found;
}

/** What a source has that apt takes without being asked to; backports have less. */
const DEFAULT_PRIORITY = 500;

/** What `apt-cache policy` says of one package. */
export interface AptPolicy {
  /** As it was asked for: `name`, or `name:architecture` where it is not the host's own. */
  readonly name: string;
  readonly installed: string | null;
  readonly candidate: string | null;
  /** All versions, the newest first. */
  readonly versions: readonly OfferedVersion[];
  /** Those that a source of the host's own release has, with the priority of one that apt takes by default. */
  readonly own: ReadonlySet<string>;
}

interface Mutable {
  name: string;
  installed: string | null;
  candidate: string | null;
  versions: { version: string; isSecurity: boolean; severity: null }[];
  own: Set<string>;
}

const orNull = (version: string): string | null => (version === '(none)' ? null : version);

/** Reads the output of `apt-cache policy NAME...` (LC_ALL=C), whose version tables have the newest version first. */
export function parsePolicy(
  text: string,
  security: SecuritySources,
  ownSources: ReadonlySet<string> = new Set(),
): AptPolicy[] {
  const found: Mutable[] = [];
  let priority = 0;
  for (const line of text.split('\n')) {
    const current = found.at(-1);
    const header = /^(\S+):$/.exec(line);
    if (header?.[1] !== undefined) {
      found.push({ name: header[1], installed: null, candidate: null, versions: [], own: new Set() });
      continue;
    }
    if (current === undefined) continue;
    const known = /^ {2}(Installed|Candidate): (\S+)$/.exec(line);
    const row = /^ (?:\*\*\*| {3}) (\S+) (-?\d+)(?: \(phased \d+%\))?$/.exec(line);
    const source = /^ {6,}(-?\d+) (.+)$/.exec(line);
    if (known?.[2] !== undefined) current[known[1] === 'Installed' ? 'installed' : 'candidate'] = orNull(known[2]);
    else if (row?.[1] !== undefined) {
      current.versions.push({ version: row[1], isSecurity: false, severity: null });
      priority = Number(row[2]);
    } else if (source?.[2] !== undefined) {
      const version = current.versions.at(-1);
      if (version === undefined) continue;
      if (security.has(source[2])) version.isSecurity = true;
      // A version that comes in phases has less than its source until it is this host's turn.
      const isTaken = Math.min(priority, Number(source[1])) >= DEFAULT_PRIORITY;
      if (isTaken && ownSources.has(source[2])) current.own.add(version.version);
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

/** Whether something newer than what is there is not to be chosen: by a pin, or because nobody would choose it unasked. */
export function hasBeyond({ installed, candidate, versions }: AptPolicy): boolean {
  const here = versions.findIndex(({ version }) => version === installed);
  return here > 0 && versions[0]?.version !== candidate;
}

/**
 * What pins keep back: `pinned` is what apt says, `plain` what it would say without pins. A package that gets nothing newer is held as
 * a whole. One that does only has its choice narrowed, unless what is kept back is a security update: that somebody keeps it back closes
 * no hole. What is no update of the host's own release is nobody's loss: a pin that only prefers another release keeps nothing back.
 */
export function keptBackVersions(pinned: AptPolicy, plain: AptPolicy): OfferedVersion[] {
  const allowed = newerVersions(pinned);
  const known = new Set(allowed.map(({ version }) => version));
  const kept = newerVersions(plain).filter(({ version }) => plain.own.has(version) && !known.has(version));
  if (kept.length === 0 || (allowed.length > 0 && !kept.some(({ isSecurity }) => isSecurity))) return [];
  return [...kept, ...allowed];
}
