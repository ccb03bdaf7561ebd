import { dnfCommands } from '@fettle/contracts';
import type { HostCommands } from '../provider.js';
import { must } from './must.js';
import { packageKey, parsePackages, type RpmPackage } from './parse-packages.js';

/** Of a transaction that was cut off, so many packages are looked at. */
const MAX_VERIFIED = 500;

export interface Interruption {
  /** Packages (`name:architecture`) that are there in two versions. */
  readonly halfDone: ReadonlySet<string>;
  readonly isInterrupted: boolean;
}

/**
 * Whether a change of packages was cut off. rpm writes a new version into its database before it runs the last scripts of it, and takes
 * the old one out afterwards: in between both are there. Before that, files may have been replaced in part, which is looked for where
 * dnf's history has a transaction without an end among its latest, in the packages of that transaction.
 */
export async function readInterruption(
  commands: HostCommands,
  installed: readonly RpmPackage[],
): Promise<Interruption> {
  // Kernels are there several times over, which only dnf tells apart.
  const several = new Set(installed.map(packageKey)).size < installed.length;
  const twice = several ? parsePackages(await must(commands, dnfCommands.duplicates)) : [];
  const halfDone = new Set(twice.map(packageKey));
  if (halfDone.size > 0) return { halfDone, isInterrupted: true };
  // A host without a history ends with an error.
  const begun = unfinishedPackages((await commands.run(dnfCommands.lastTransactions)).stdout);
  const suspects = installed.filter((one) => begun.has(historySpec(one))).slice(0, MAX_VERIFIED);
  if (suspects.length === 0) return { halfDone, isInterrupted: false };
  const { stdout } = await commands.run([...dnfCommands.verify, ...suspects.map(historySpec)]);
  return { halfDone, isInterrupted: stdout.trim() !== '' };
}

/** As the history writes it: an epoch of 0 is left out. */
const historySpec = ({ name, version, architecture }: RpmPackage): string => `${name}-${version}.${architecture}`;

/** Packages of transactions that have no end: from `dnf history info`, where `**` marks what was not done. */
export function unfinishedPackages(text: string): ReadonlySet<string> {
  const unended = text
    .split(/^(?=Transaction ID +:)/m)
    .filter((one) => /^End rpmdb +: +\*\*$/m.test(one) || /^Return-Code +: \*\* Aborted/m.test(one));
  return new Set(
    unended.flatMap((one) => [...one.matchAll(/^ \*\* [A-Za-z]+ +(\S+)/gm)]).map((match) => match[1] ?? ''),
  );
}
