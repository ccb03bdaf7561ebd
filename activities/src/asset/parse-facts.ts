import type { gatherCommands } from '../contracts.js';
import type { GatheredFacts } from '../implementation.js';

export type CommandTexts = Readonly<Partial<Record<keyof typeof gatherCommands, string | null>>>;

export interface ParsedFacts extends GatheredFacts {
  readonly os: { family?: string; name?: string; version?: string };
  readonly kernel: string | undefined;
  readonly packageCount: number | undefined;
  /** Facts that could not be read. */
  readonly missing: readonly string[];
}

/** `KEY=value` lines with optional quotes: os-release(5). */
export function parseOsRelease(text: string): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim());
    if (match) values[match[1]!] = match[2]!.replace(/^(["'])(.*)\1$/, '$2').replace(/\\(["'$`\\])/g, '$1');
  }
  return values;
}

function osFamily(release: Readonly<Record<string, string>>): string {
  const ids = [release['ID'] ?? '', ...(release['ID_LIKE'] ?? '').split(' ')];
  if (ids.includes('debian') || ids.includes('ubuntu')) return 'debian';
  if (ids.includes('rhel') || ids.includes('fedora')) return 'redhat';
  if (ids.includes('suse') || ids.includes('opensuse')) return 'suse';
  return release['ID'] ?? 'linux';
}

/** `Key:  n kB` lines of proc(5) meminfo, in bytes. */
export function parseMemory(text: string): { totalBytes: number; availableBytes: number | null } | null {
  const kib = (key: string): number | null => {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text);
    return match ? Number(match[1]) * 1024 : null;
  };
  const totalBytes = kib('MemTotal');
  return totalBytes === null ? null : { totalBytes, availableBytes: kib('MemAvailable') };
}

/** POSIX `df -P -k`: six columns, sizes in KiB; the mount point may hold spaces. */
export function parseDisks(
  text: string,
): readonly { mount: string; device: string; sizeBytes: number; usedPercent: number }[] {
  const disks = [];
  for (const line of text.split('\n').slice(1)) {
    const match = /^(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)%\s+(.+)$/.exec(line.trim());
    if (!match) continue;
    disks.push({
      device: match[1]!,
      sizeBytes: Number(match[2]) * 1024,
      usedPercent: Number(match[5]),
      mount: match[6]!,
    });
  }
  return disks;
}

function parsePackages(
  dpkg: string | null | undefined,
  rpm: string | null | undefined,
): Readonly<Record<string, string>> | null {
  const text = dpkg ?? rpm;
  if (!text) return null;
  const packages: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [name, version, status] = line.split('\t');
    if (name && version && status === 'installed') packages[name] = version;
  }
  return packages;
}

/** Turns the outputs of `gatherCommands` into facts and identifiers; what is missing stays missing. */
export function parseFacts(texts: CommandTexts): ParsedFacts {
  const facts: Record<string, unknown> = {};
  const missing: string[] = [];
  const keep = (name: string, value: unknown): void => {
    if (value === null || value === undefined) missing.push(name);
    else facts[name] = value;
  };
  const release = texts.osRelease ? parseOsRelease(texts.osRelease) : null;
  const os = release
    ? {
        family: osFamily(release),
        id: release['ID'] ?? 'linux',
        name: release['NAME'] ?? '',
        version: release['VERSION_ID'] ?? '',
      }
    : null;
  keep('os', os);
  const [system, kernel, architecture] = texts.uname?.trim().split(' ') ?? [];
  keep('kernel', kernel ? { name: system, release: kernel, architecture } : null);
  keep('memory', texts.memory ? parseMemory(texts.memory) : null);
  const disks = texts.disks ? parseDisks(texts.disks) : [];
  keep('disks', disks.length > 0 ? disks : null);
  const addresses = texts.addresses?.trim().split(/\s+/).filter(Boolean) ?? [];
  keep('addresses', addresses.length > 0 ? addresses : null);
  keep('hostname', texts.hostname?.trim() || null);
  keep('boot', texts.bootId?.trim() ? { id: texts.bootId.trim() } : null);
  const packages = parsePackages(texts.dpkg, texts.rpm);
  if (texts.dpkg !== undefined || texts.rpm !== undefined) keep('packages', packages);
  const identifiers: { kind: string; value: string }[] = [];
  if (texts.machineId?.trim()) identifiers.push({ kind: 'machine-id', value: texts.machineId.trim() });
  if (texts.serial?.trim()) identifiers.push({ kind: 'serial', value: texts.serial.trim() });
  return {
    facts,
    identifiers,
    missing,
    os: os ? { family: os.family, name: os.name, version: os.version } : {},
    kernel,
    packageCount: packages ? Object.keys(packages).length : undefined,
  };
}
