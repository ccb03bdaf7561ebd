import {
  aptCommands,
  aptDowngrade,
  aptInstall,
  aptSimulate,
  aptSimulateDowngrade,
  codenameOf,
  releaseCommand,
  type HostPackage,
  type HostPackages,
  type OfferedVersion,
  type PackageOffers,
  type SelectedUpdate,
} from '@fettle/contracts';
import { parseLockHolders } from '../parse-locks.js';
import {
  lastWords,
  managerFailure,
  must,
  withForeseen,
  type HostCommands,
  type PackageActivity,
  type PackageProvider,
  type SimulatedInstall,
} from '../provider.js';
import { AptInstallReport } from './install-report.js';
import { APT_INSTALL_SCRIPT } from './install-script.js';
import { parseDpkgPackages } from './parse-dpkg.js';
import { parseInstalls } from './parse-installs.js';
import {
  hasBeyond,
  keptBackVersions,
  newerVersions,
  parseOwnSources,
  parsePolicy,
  parseSecuritySources,
  type AptPolicy,
} from './parse-policy.js';
import { readAges } from './read-ages.js';
import { readReboot } from './read-reboot.js';

/** Names in one call: with their quotes they stay below what one argument of a shell may hold (128 KiB). */
const NAMES_A_CALL = 800;
/** Files that apt and dpkg lock while they change packages or their lists. */
const LOCK_FILES = /^\/var\/(?:lib\/dpkg\/lock(?:-frontend)?|lib\/apt\/lists\/lock|cache\/apt\/archives\/lock)$/;
const LOCK_PAUSE_MS = 2_000;

const LOCKED =
  /Could not get lock|Unable to (?:acquire the dpkg|lock) |is another process using it|locked by another process/;
const UNREACHED = /Failed to fetch|Could not resolve|Some index files failed to download|does not have a Release file/;

/** Debian and its kin. */
export const aptProvider: PackageProvider = {
  manager: 'apt',
  refresh,
  read,
  activity,
  reboot: readReboot,
  simulate,
  install: (updates, lockWaitMs, how, foreseen) => {
    const waitSeconds = Math.max(1, Math.ceil(lockWaitMs / 1_000));
    const command = how === 'downgrade' ? aptDowngrade(waitSeconds) : aptInstall(waitSeconds);
    const install = [...command, ...updates.map(packageArgument)];
    const argv = ['/bin/sh', '-s', '--', String(waitSeconds), ...install];
    const stdin = withForeseen(APT_INSTALL_SCRIPT, foreseen);
    return { argv, stdin, shown: install, newReport: () => new AptInstallReport() };
  },
};

function packageArgument({ name, architecture, to }: SelectedUpdate): string {
  return architecture === 'all' ? `${name}=${to}` : `${name}:${architecture}=${to}`;
}

async function refresh(commands: HostCommands, lockWaitMs: number): Promise<void> {
  const giveUpAtMs = Date.now() + lockWaitMs;
  for (let isNoted = false; ;) {
    const end = await commands.run(aptCommands.refresh);
    const said = `${end.stderr}\n${end.stdout}`;
    // Older versions only warn of a source that they could not reach, and go on with what they knew of it.
    if (end.exitCode === 0 && !UNREACHED.test(said)) return;
    const failure = (code: string, remedy: string): Error =>
      managerFailure(commands.host, aptCommands.refresh, end, code, remedy);
    if (!LOCKED.test(said)) {
      if (UNREACHED.test(said))
        throw failure('mirror-unreachable', 'Check that the host reaches its package sources, or take the source out.');
      throw failure('package-manager-failed', 'Run the command on the host and mend what it complains of.');
    }
    // The lock of the lists, which apt itself does not wait for.
    if (Date.now() >= giveUpAtMs)
      throw failure('package-lock-held', 'Wait for the other one to end (unattended-upgrades?), or raise "lockWait".');
    if (!isNoted) commands.note('Another program holds the lock of the package lists; it is waited for.\n');
    isNoted = true;
    await commands.sleep(LOCK_PAUSE_MS);
  }
}

async function read(commands: HostCommands): Promise<HostPackages> {
  const native = (await must(commands, aptCommands.architecture)).trim();
  const packages = parseDpkgPackages(await must(commands, aptCommands.installed));
  const sources = await must(commands, aptCommands.sources);
  const security = parseSecuritySources(sources);
  const asked = new Map(packages.map((one) => [askedName(one, native), one]));
  const policies = new Map<string, AptPolicy>();
  for (const text of await policyTexts(commands, aptCommands.policy, [...asked.keys()]))
    for (const policy of parsePolicy(text, security)) {
      const one = asked.get(policy.name);
      if (one !== undefined) policies.set(policy.name, { ...policy, installed: one.version });
    }
  const keptBack = await readKeptBack(commands, policies, sources);
  const offers = [...policies].flatMap(([key, policy]): PackageOffers[] => {
    const one = asked.get(key);
    if (one === undefined) return [];
    const { name, architecture, version: installed, isHeld } = one;
    const [newer, kept] = [newerVersions(policy), keptBack.get(key) ?? []];
    return [
      ...(newer.length === 0 ? [] : [{ name, architecture, installed, isHeld, newer }]),
      ...(kept.length === 0 ? [] : [{ name, architecture, installed, isHeld: true, isPinned: true, newer: kept }]),
    ];
  });
  const isInterrupted = await isCutOff(commands, packages);
  const ages = { hasSecuritySource: security.size > 0, ...(await readAges(commands)) };
  return { manager: 'apt', packages, offers, isInterrupted, reboot: await readReboot(commands), ...ages };
}

async function policyTexts(
  commands: HostCommands,
  command: readonly string[],
  names: readonly string[],
): Promise<string[]> {
  const texts: string[] = [];
  for (let from = 0; from < names.length; from += NAMES_A_CALL)
    texts.push(await must(commands, [...command, ...names.slice(from, from + NAMES_A_CALL)]));
  return texts;
}

/** What pins keep from being chosen, by the names asked for; asked only of packages that have something newer than the candidate. */
async function readKeptBack(
  commands: HostCommands,
  policies: ReadonlyMap<string, AptPolicy>,
  sources: string,
): Promise<ReadonlyMap<string, readonly OfferedVersion[]>> {
  const names = [...policies].filter(([, policy]) => hasBeyond(policy)).map(([name]) => name);
  if (names.length === 0) return new Map();
  const release = codenameOf((await commands.run(releaseCommand)).stdout);
  const security = parseSecuritySources(sources);
  const own = parseOwnSources(sources, release);
  const texts = await policyTexts(commands, aptCommands.policyWithoutPins, names);
  const plain = texts.flatMap((text) => parsePolicy(text, security, own));
  return new Map(
    plain.flatMap((policy) => {
      const pinned = policies.get(policy.name);
      if (pinned === undefined) return [];
      const kept = keptBackVersions(pinned, { ...policy, installed: pinned.installed });
      return kept.length === 0 ? [] : [[policy.name, kept] as const];
    }),
  );
}

async function isCutOff(commands: HostCommands, packages: readonly HostPackage[]): Promise<boolean> {
  const journal = await commands.run(aptCommands.journal);
  const isOpen = journal.stdout.split('\n').some((file) => /^\d+$/.test(file));
  return isOpen || packages.some(({ state }) => state !== 'installed');
}

async function activity(commands: HostCommands): Promise<PackageActivity> {
  const packages = parseDpkgPackages(await must(commands, aptCommands.installed));
  const holders = parseLockHolders(await must(commands, aptCommands.locks), LOCK_FILES);
  return { holders, isInterrupted: await isCutOff(commands, packages) };
}

/** As `apt-cache policy` writes it: the architecture only where it is not the host's own. */
function askedName({ name, architecture }: HostPackage, native: string): string {
  return architecture === native || architecture === 'all' ? name : `${name}:${architecture}`;
}

async function simulate(
  commands: HostCommands,
  updates: readonly SelectedUpdate[],
  how?: 'downgrade',
): Promise<SimulatedInstall> {
  const command = how === 'downgrade' ? aptSimulateDowngrade : aptSimulate;
  const end = await commands.run([...command, ...updates.map(packageArgument)]);
  const installs = parseInstalls(end.stdout);
  const touched = [...new Set(installs.map(({ name }) => name))];
  const versions = new Map(
    installs.map(({ name, architecture, version }) => [
      architecture === '' ? name : `${name}:${architecture}`,
      version,
    ]),
  );
  const removed = [...end.stdout.matchAll(/^Remv (\S+) /gm)].map((match) => match[1] ?? '');
  if (removed.length > 0) return { touched, versions, refusal: `it would remove ${removed.join(', ')}` };
  return { touched, versions, refusal: end.exitCode === 0 ? null : simulationWords(end.stdout, lastWords(end)) };
}

/** What apt says of dependencies stands on standard output, after this line. */
function simulationWords(stdout: string, otherwise: string): string {
  const [, unmet] = stdout.split('The following packages have unmet dependencies:\n');
  const lines = (unmet ?? '').split('\n').filter((line) => line.startsWith(' '));
  return lines.length === 0 ? otherwise : lines.map((line) => line.trim().replace(/\s+/g, ' ')).join('; ');
}
