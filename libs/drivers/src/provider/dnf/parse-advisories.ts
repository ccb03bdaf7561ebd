import { compareRpmVersions, worseSeverity, type OfferedVersion } from '@fettle/contracts';
import { parsePackages, type RpmPackage } from './parse-packages.js';

/** A version that an advisory of security names. */
export interface Advised extends RpmPackage {
  /** As the advisory says it; null: it says none. */
  readonly severity: string | null;
}

/**
 * Lines of `dnf updateinfo list`, such as `RHSA-2026:1 Important/Sec. app-1:1.1-1.noarch`; those of other kinds (`bugfix`) are left
 * out. The version of an advisory begins after the second dash from its end, as in all file names of rpm packages.
 */
export function parseAdvisories(text: string): Advised[] {
  return text.split('\n').flatMap((line) => {
    const [, severity, package_] = /^(?:[ i] )?\S+ +(\S+)\/Sec\. +(\S+)$/.exec(line) ?? [];
    const [, name, version, architecture] = /^(.+)-([^-]+-[^-]+)\.([a-z0-9_]+)$/.exec(package_ ?? '') ?? [];
    const [one] = parsePackages([name, architecture, version].join('\t'));
    return one === undefined ? [] : [{ ...one, severity: said(severity) }];
  });
}

const said = (severity: string | undefined): string | null =>
  severity === undefined || ['Unknown', 'None'].includes(severity) ? null : severity;

/** Whether the sources know of advisories of security at all, from `dnf updateinfo summary --all`. */
export function knowsSecurity(summary: string): boolean {
  return /^\s+[1-9]\d* Security notice/m.test(summary);
}

/**
 * The versions on offer, the newest first, with what the advisories say. Where the version of an advisory is on offer no more, the next
 * one above it holds its fix.
 */
export function withAdvisories(
  versions: readonly string[],
  advised: readonly Pick<Advised, 'version' | 'severity'>[],
): OfferedVersion[] {
  const sorted = [...versions].sort((a, b) => compareRpmVersions(b, a));
  const found = new Map<string, string | null>();
  for (const { version, severity } of advised) {
    const holder = sorted.findLast((one) => compareRpmVersions(one, version) >= 0);
    if (holder === undefined) continue;
    found.set(holder, worseSeverity(found.get(holder) ?? null, severity));
  }
  return sorted.map((version) => ({
    version,
    isSecurity: found.has(version),
    severity: found.get(version) ?? null,
  }));
}
