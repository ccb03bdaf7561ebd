import {
  dnfCommands,
  dnfDowngrade,
  dnfInstall,
  dnfSimulate,
  dnfSimulateDowngrade,
  FettleError,
  type HostPackages,
  type SelectedUpdate,
} from '@fettle/contracts';
import { parseLockHolders } from '../parse-locks.js';
import {
  managerFailure,
  withForeseen,
  type HostCommands,
  type PackageActivity,
  type PackageProvider,
  type SimulatedInstall,
} from '../provider.js';
import { DnfInstallReport } from './install-report.js';
import { DNF_INSTALL_SCRIPT } from './install-script.js';
import { must } from './must.js';
import { offersOf } from './offers.js';
import { knowsSecurity, parseAdvisories } from './parse-advisories.js';
import { newestOfEach, packageSpec, parsePackages } from './parse-packages.js';
import { parseSimulation } from './parse-simulation.js';
import { readAges } from './read-ages.js';
import { readUpgrades } from './read-held.js';
import { readInterruption } from './read-interruption.js';
import { readReboot } from './read-reboot.js';
import { waitingForOthers } from './wait-for-others.js';

const UNREACHED =
  /Failed to download metadata|Cannot download|All mirrors were tried|Errors during downloading metadata/;
const RPM_LOCK = /^\/(?:var\/lib|usr\/lib\/sysimage)\/rpm\/\.rpm\.lock$/;

/** Red Hat Enterprise Linux 8 and later and its kin, Fedora up to 40: dnf 4. */
export const dnfProvider: PackageProvider = {
  manager: 'dnf',
  refresh,
  read,
  activity,
  reboot: (commands) => readReboot(waitingForOthers(commands)),
  simulate,
  install: (updates, lockWaitMs, how, foreseen) => {
    const waitSeconds = Math.max(1, Math.ceil(lockWaitMs / 1_000));
    const install = [...(how === 'downgrade' ? dnfDowngrade : dnfInstall), '--', ...updates.map(specOf)];
    const argv = ['/bin/sh', '-s', '--', String(waitSeconds), ...install];
    const stdin = withForeseen(DNF_INSTALL_SCRIPT, foreseen);
    return { argv, stdin, shown: install, newReport: () => new DnfInstallReport() };
  },
};

const specOf = ({ name, architecture, to, toArchitecture = architecture }: SelectedUpdate): string =>
  packageSpec({ name, architecture: toArchitecture, version: to });

async function refresh(commands: HostCommands, lockWaitMs: number): Promise<void> {
  const end = await waitingForOthers(commands, lockWaitMs).run(dnfCommands.refresh);
  const said = `${end.stderr}\n${end.stdout}`;
  if (end.exitCode === 0 && !UNREACHED.test(said)) return;
  const failure = (code: string, remedy: string): Error =>
    managerFailure(commands.host, dnfCommands.refresh, end, code, remedy);
  if (UNREACHED.test(said))
    throw failure('mirror-unreachable', 'Check that the host reaches its package sources, or switch the source off.');
  throw failure('package-manager-failed', 'Run the command on the host and mend what it complains of.');
}

async function read(host: HostCommands): Promise<HostPackages> {
  const commands = waitingForOthers(host);
  const all = parsePackages(await must(commands, dnfCommands.installed));
  const { halfDone, isInterrupted } = await readInterruption(commands, all);
  const { upgrades, ...held } = await readUpgrades(commands, all);
  const advised = parseAdvisories(await must(commands, dnfCommands.advisories));
  const packages = newestOfEach(all, halfDone, (key) => held.isHeld(key));
  const offers = offersOf(packages, { upgrades, advised, allows: (one) => held.allows(one) });
  const hasSecuritySource = advised.length > 0 || knowsSecurity(await must(commands, dnfCommands.advisorySummary));
  const ages = { hasSecuritySource, ...(await readAges(commands)) };
  return { manager: 'dnf', packages, offers, isInterrupted, reboot: await readReboot(commands), ...ages };
}

async function activity(commands: HostCommands): Promise<PackageActivity> {
  const holders = [
    ...(await lockingProcesses(commands)),
    ...parseLockHolders((await commands.run(dnfCommands.rpmLock)).stdout, RPM_LOCK),
  ];
  // What is half there is what they are at, and they may keep dnf from telling.
  if (holders.length > 0) return { holders: [...new Set(holders)], isInterrupted: false };
  const installed = parsePackages(await must(commands, dnfCommands.installed));
  try {
    const { isInterrupted } = await readInterruption(waitingForOthers(commands, 0), installed);
    return { holders, isInterrupted };
  } catch (error) {
    if (!(error instanceof FettleError) || error.code !== 'package-lock-held') throw error;
    // It has begun since.
    return { holders: ['dnf'], isInterrupted: false };
  }
}

/** Processes whose numbers stand in dnf's lock files, and that are there: a file that was left behind locks nothing. */
async function lockingProcesses(commands: HostCommands): Promise<string[]> {
  const { stdout } = await commands.run(dnfCommands.lockFiles);
  const pids = [...stdout.matchAll(/:(\d{1,10})$/gm)].map((match) => match[1] ?? '');
  if (pids.length === 0) return [];
  const there = await commands.run([...dnfCommands.processes, [...new Set(pids)].join(',')]);
  // Without ps nobody knows: then they count as being there.
  if (there.exitCode === 127) return pids.map((pid) => `process ${pid}`);
  return [...there.stdout.matchAll(/^ *(\d+) +(\S.*)$/gm)].map(([, pid, command]) => `${command} (process ${pid})`);
}

async function simulate(
  commands: HostCommands,
  updates: readonly SelectedUpdate[],
  how?: 'downgrade',
): Promise<SimulatedInstall> {
  // dnf would take no packages for all of them. It installs beside what is broken already: nothing refuses everything.
  if (updates.length === 0) return { touched: [], refusal: null };
  const command = how === 'downgrade' ? dnfSimulateDowngrade : dnfSimulate;
  const end = await waitingForOthers(commands).run([...command, '--', ...updates.map(specOf)]);
  return parseSimulation(end.stdout, end.stderr, updates.length);
}
