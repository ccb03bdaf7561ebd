import { aptCommands, type RebootNeed } from '@fettle/contracts';
import type { HostCommands } from '../provider.js';

/**
 * Whether the host asks for a reboot: the file that packages leave (Debian policy has none, but update-notifier-common, unattended-
 * upgrades and many packages do), or needrestart(1), whose kernel status is 0 unknown, 1 none pending, 2 and 3 pending. Where neither
 * says anything, it cannot be told.
 */
export async function readReboot(commands: HostCommands): Promise<RebootNeed> {
  const reasons: string[] = [];
  if ((await commands.run(aptCommands.rebootFile)).exitCode === 0) {
    const packages = (await commands.run(aptCommands.rebootPackages)).stdout.split('\n').filter(Boolean);
    reasons.push(
      packages.length === 0 ? '/run/reboot-required is there' : `asked for by ${[...new Set(packages)].join(', ')}`,
    );
  }
  const kernel = kernelStatus((await commands.run(aptCommands.kernel)).stdout);
  if (kernel.status >= 2) reasons.push(`kernel ${kernel.current} runs, ${kernel.expected} is installed`);
  if (reasons.length > 0) return { state: 'needed', reasons };
  if (kernel.status === 1) return { state: 'not-needed', reasons };
  return { state: 'unknown', reasons: ['needrestart, which compares kernels, is not installed there or cannot tell'] };
}

/** From `needrestart -b`: README.batch.md of its package. */
export function kernelStatus(text: string): { status: number; current: string; expected: string } {
  const value = (key: string): string => new RegExp(`^NEEDRESTART-${key}: (.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  return { status: Number(value('KSTA')) || 0, current: value('KCUR'), expected: value('KEXP') };
}
