import { compareRpmVersions, dnfCommands, packageNameSchema, type RebootNeed } from '@fettle/contracts';
import { bootedAt } from '../apt/read-ages.js';
import type { HostCommands } from '../provider.js';
import { withoutNoEpoch } from './parse-packages.js';

/**
 * Whether the host asks for a reboot, as needs-restarting(1) of dnf-plugins-core tells it: by rpm's times of installation and the time
 * of the boot, for which nothing has to be installed; that plugin itself is asked where the time of the boot cannot be read. And
 * whether a newer kernel is installed than runs, which it does not compare.
 */
export async function readReboot(commands: HostCommands): Promise<RebootNeed> {
  const hint = (await ownHint(commands)) ?? rebootHint((await commands.run(dnfCommands.rebootHint)).stdout);
  const running = (await commands.run(dnfCommands.kernel)).stdout.trim();
  const newer = newerKernel(running, (await commands.run(dnfCommands.kernels)).stdout);
  const reasons = [
    ...(hint === null || hint.length === 0 ? [] : [`asked for by ${hint.join(', ')}`]),
    ...(newer === null ? [] : [`kernel ${running} runs, ${newer} is installed`]),
  ];
  if (reasons.length > 0) return { state: 'needed', reasons };
  if (hint !== null) return { state: 'not-needed', reasons };
  return {
    state: 'unknown',
    reasons: ['neither "dnf needs-restarting -r" nor the time of the boot (/proc/uptime) tells'],
  };
}

/** Names of packages that ask for it; null: it does not tell (its exit code is that of a missing plugin as well). */
export function rebootHint(text: string): string[] | null {
  if (/^No core libraries or services have been updated/m.test(text)) return [];
  if (!/^Core libraries or services have been updated/m.test(text)) return null;
  return [...text.matchAll(/^ {2}\* (\S+)$/gm)].map((match) => match[1] ?? '');
}

/** By the times at which the packages were installed. */
async function ownHint(commands: HostCommands): Promise<string[] | null> {
  const booted = bootedAt((await commands.run(dnfCommands.uptime)).stdout, Date.now());
  if (booted === null) return null;
  const more = (await commands.run(dnfCommands.moreBootPackages)).stdout.split('\n').map((line) => line.trim());
  const named = more.filter((name) => packageNameSchema.safeParse(name).success);
  // Those that are not there end it with an exit code of their number.
  const { stdout } = await commands.run([...dnfCommands.bootPackages, ...named]);
  return installedSince(stdout, booted);
}

export function installedSince(text: string, booted: Date): string[] {
  const since = text.split('\n').flatMap((line) => {
    const [, name, seconds] = /^([^\t ]+)\t(\d{1,11})$/.exec(line) ?? [];
    return name !== undefined && Number(seconds) * 1000 > booted.getTime() ? [name] : [];
  });
  return [...new Set(since)];
}

/** The newest kernel of the kind that runs, if that is another one; null too where the one that runs is from no package. */
export function newerKernel(running: string, text: string): string | null {
  const kernels = text.split('\n').flatMap((line) => {
    const [name = '', written = '', architecture = ''] = line.split('\t');
    const version = withoutNoEpoch(written);
    return architecture === '' ? [] : [{ name, version, shown: `${version.replace(/^\d+:/, '')}.${architecture}` }];
  });
  // Kinds other than the plain one end in the kind: `5.14.0-362.el9.x86_64+rt`.
  const own = kernels.find(({ shown }) => shown === running.replace(/\+[a-z0-9_-]+$/, ''));
  const ofKind = kernels.filter(({ name }) => name === own?.name);
  const [newest] = ofKind.sort((a, b) => compareRpmVersions(b.version, a.version));
  return newest === undefined || newest.shown === own?.shown ? null : newest.shown;
}
