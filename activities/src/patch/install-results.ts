import type { DecidingBaseline, HostPackage, HostPackages, PackageManager, PatchSelection } from '@fettle/contracts';
import type { InstallReport } from '@fettle/drivers';
import type { z } from 'zod';
import type { patchInstall } from '../contracts.js';
import type { ActionEnd } from '../implementation.js';
import type { PatchResult } from './ledger.js';

export type InstallOutput = z.output<typeof patchInstall.output>;

/** So many packages are given to later steps; the log and the ledger have all. */
const MAX_GIVEN = 150;
const MAX_NAMED = 5;

/** How each package of a selection stands on the host now. */
export function resultsOf({ selected }: PatchSelection, after: HostPackages, report: InstallReport): PatchResult[] {
  const now = new Map<string, HostPackage[]>();
  for (const one of after.packages) now.set(one.name, [...(now.get(one.name) ?? []), one]);
  return selected.map(({ name, architecture, from, to }) => {
    const one = successorOf(architecture, now.get(name) ?? []);
    const change = { name, architecture, from, to };
    const warning = report.warnings.get(name);
    if (one?.version === to && one.state === 'installed')
      return { ...change, state: 'installed', ...(warning === undefined ? {} : { reason: warning }) };
    const said = report.errors.get(name);
    const stands = one === undefined ? 'it is not there any more' : `it is ${one.state} in version ${one.version}`;
    return { ...change, state: 'failed', reason: said === undefined ? stands : `${said} (${stands})` };
  });
}

/** What "for any architecture" is called. */
const NO_ARCHITECTURE: readonly string[] = ['all', 'noarch'];

/** What a package has become, of those of its name: a new version may be for any architecture, or end to be. */
export function successorOf(architecture: string, named: readonly HostPackage[]): HostPackage | undefined {
  const fits = (one: HostPackage): boolean => [architecture, one.architecture].some((a) => NO_ARCHITECTURE.includes(a));
  return named.find((one) => one.architecture === architecture) ?? named.find(fits);
}

/** What was chosen, and by what. */
export interface DecidedSelection extends PatchSelection {
  readonly baseline?: DecidingBaseline | null;
}

export function resultText(results: readonly PatchResult[], { skipped }: PatchSelection): string {
  const lines = [
    ...results.map(
      ({ name, from, to, state, reason }) => `${state}: ${name} ${from} -> ${to}${reason ? `: ${reason}` : ''}`,
    ),
    ...skipped.map(
      ({ name, version, reason, detail }) => `left alone: ${name} ${version} (${reason}${detail ? `: ${detail}` : ''})`,
    ),
  ];
  return lines.length === 0 ? 'nothing to install\n' : `${lines.join('\n')}\n`;
}

export function outputOf(
  results: readonly PatchResult[],
  { skipped, baseline = null }: DecidedSelection,
  after: HostPackages,
  report: Pick<InstallReport, 'isRepaired' | 'services' | 'keptFiles'>,
): InstallOutput {
  const installed = results
    .filter(({ state }) => state === 'installed')
    .map(({ name, architecture, from, to }) => ({ name, architecture, from, to }));
  return {
    manager: after.manager,
    baseline,
    changed: installed.length > 0 || report.isRepaired,
    installed: installed.slice(0, MAX_GIVEN),
    skipped: skipped.slice(0, MAX_GIVEN).map((one) => ({ ...one })),
    truncated: installed.length > MAX_GIVEN || skipped.length > MAX_GIVEN,
    repaired: report.isRepaired,
    services: report.services.slice(0, MAX_GIVEN),
    warnings: results
      .filter(({ state, reason }) => state === 'installed' && reason !== undefined)
      .slice(0, MAX_GIVEN)
      .map(({ name, reason }) => `${name}: ${reason ?? ''}`),
    keptFiles: report.keptFiles.slice(0, MAX_GIVEN),
    reboot: after.reboot.state,
    rebootReasons: [...after.reboot.reasons],
  };
}

interface Ending {
  readonly host: string;
  readonly command: string;
  readonly exitCode: number;
  readonly results: readonly PatchResult[];
  readonly report: InstallReport;
  /** As the packages stand afterwards. */
  readonly isInterrupted: boolean;
}

/** Why the installation is no success; null: it is one. Names host and command, and quotes what was said. */
export function installError({
  host,
  command,
  exitCode,
  results,
  report,
  isInterrupted,
}: Ending): NonNullable<ActionEnd<never>['error']> | null {
  const failed = results.filter(({ state }) => state === 'failed');
  const isBroken = isInterrupted || report.isRepairFailed === true;
  if (failed.length === 0 && exitCode === 0 && !isBroken) return null;
  const said = report.complaints.join(' ');
  const ended = `${host}: "${command}" ended with exit code ${exitCode}`;
  const named = failed
    .slice(0, MAX_NAMED)
    .map(({ name, from, to, reason }) => `${name} ${from} -> ${to}: ${reason ?? ''}`)
    .join('; ');
  if (report.unforeseen !== undefined && report.unforeseen.length > 0) {
    const others = report.unforeseen.slice(0, MAX_NAMED).join(', ');
    return {
      code: 'unforeseen-packages',
      message: `${host}: "${command}" was called off and installed nothing: ${others} would have come along, which was not so when the updates were chosen.`,
      remedy: 'Install again: the updates are chosen anew, by what they bring along now.',
    };
  }
  if (report.trouble === 'locked') {
    const remedy = 'Wait for the other one to end (unattended-upgrades, dnf-automatic?), or raise "lockWait".';
    return { code: 'package-lock-held', message: `${ended}: ${said}`.slice(0, 1_500), remedy };
  }
  // What failed by itself is to be mended, whatever could not be fetched beside it.
  if (report.trouble === 'unreached' && failed.some(({ name }) => !report.errors.has(name))) {
    const remedy = 'Check that the host reaches its package sources; the next installation goes on from here.';
    return { code: 'mirror-unreachable', message: `${ended}: ${said}`.slice(0, 1_500), remedy };
  }
  if (failed.length === 0 && exitCode === 0) {
    const message = `${host}: a change of packages that was cut off is not repaired: ${said || 'some are still half there'}`;
    const remedy =
      'Look at the step\'s log and mend them on the host ("dpkg --configure -a"; "dnf remove --duplicates", "dnf reinstall").';
    return { code: 'patch-incomplete', message: message.slice(0, 1_500), remedy };
  }
  if (failed.length === 0) {
    const others = [...report.errors].map(([name, error]) => `${name}: ${error}`).join('; ');
    const message = `${ended}, with all ${results.length} updates installed: ${others || said}`.slice(0, 1_500);
    return { code: 'patch-incomplete', message, remedy: 'Mend the package that it names on the host.' };
  }
  const message = `${ended}, ${failed.length} of ${results.length} updates failed: ${named}`.slice(0, 1_500);
  return {
    code: 'patch-failed',
    message,
    remedy: `Look at the step's log, mend the package on ${host}, and install again.`,
  };
}

type InstallError = NonNullable<ActionEnd<never>['error']>;

const mending: Readonly<Record<PackageManager, string>> = {
  apt: '"apt-get --fix-broken install"',
  dnf: '"dnf remove --duplicates", "dnf reinstall"',
};

/** Where nothing but the repair was to be done, because what the updates bring along could not be told before; else what `error` says. */
export function repairedOnly(
  host: string,
  { skipped }: PatchSelection,
  { isInterrupted, manager }: Pick<HostPackages, 'isInterrupted' | 'manager'>,
  error: InstallError | null,
): InstallError | null {
  const left = skipped.filter(({ reason }) => reason === 'after-repair').length;
  if (left === 0 || error?.code === 'package-lock-held' || error?.code === 'mirror-unreachable') return error;
  const isMended = !isInterrupted && error === null;
  const repair = isMended ? 'which is done' : 'which did not mend all of it';
  const said = error === null ? '' : ` (${error.message})`;
  return {
    code: 'repaired-only',
    message:
      `${host}: a change of packages that was cut off had to be repaired first, ${repair}; ${left} updates were not installed, since it could not be told before what comes along with them${said}.`.slice(
        0,
        1_500,
      ),
    remedy: isMended
      ? 'Install again.'
      : `Mend the packages that the step's log names on ${host} (${mending[manager]}), and install again.`,
  };
}
