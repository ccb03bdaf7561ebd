import type { HostPackages, PatchSelection } from '@fettle/contracts';
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
  const now = new Map(after.packages.map((one) => [`${one.name}:${one.architecture}`, one]));
  return selected.map(({ name, architecture, from, to }) => {
    const one = now.get(`${name}:${architecture}`);
    const change = { name, architecture, from, to };
    if (one?.version === to && one.state === 'installed') return { ...change, state: 'installed' };
    const said = report.errors.get(name);
    const stands = one === undefined ? 'it is not there any more' : `it is ${one.state} in version ${one.version}`;
    return { ...change, state: 'failed', reason: said === undefined ? stands : `${said} (${stands})` };
  });
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
  { skipped }: PatchSelection,
  after: HostPackages,
  report: Pick<InstallReport, 'isRepaired' | 'services'>,
): InstallOutput {
  const installed = results
    .filter(({ state }) => state === 'installed')
    .map(({ name, architecture, from, to }) => ({ name, architecture, from, to }));
  return {
    manager: after.manager,
    changed: installed.length > 0 || report.isRepaired,
    installed: installed.slice(0, MAX_GIVEN),
    skipped: skipped.slice(0, MAX_GIVEN).map((one) => ({ ...one })),
    truncated: installed.length > MAX_GIVEN || skipped.length > MAX_GIVEN,
    repaired: report.isRepaired,
    services: report.services.slice(0, MAX_GIVEN),
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
}

/** Why the installation is no success; null: it is one. Names host and command, and quotes what was said. */
export function installError({
  host,
  command,
  exitCode,
  results,
  report,
}: Ending): NonNullable<ActionEnd<never>['error']> | null {
  const failed = results.filter(({ state }) => state === 'failed');
  if (failed.length === 0 && exitCode === 0) return null;
  const said = report.complaints.join(' ');
  const ended = `${host}: "${command}" ended with exit code ${exitCode}`;
  const named = failed
    .slice(0, MAX_NAMED)
    .map(({ name, from, to, reason }) => `${name} ${from} -> ${to}: ${reason ?? ''}`)
    .join('; ');
  if (/Could not get lock|locked by another process|Unable to (?:acquire the dpkg|lock)/.test(said)) {
    const remedy = 'Wait for the other one to end (unattended-upgrades?), or raise "lockWait".';
    return { code: 'package-lock-held', message: `${ended}: ${said}`.slice(0, 1_500), remedy };
  }
  if (/Failed to fetch|Unable to fetch|Could not resolve/.test(said)) {
    const remedy = 'Check that the host reaches its package sources; the next installation goes on from here.';
    return { code: 'mirror-unreachable', message: `${ended}: ${said}`.slice(0, 1_500), remedy };
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
