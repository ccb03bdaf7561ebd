import { aptCommands } from '@fettle/contracts';
import type { HostCommands } from '../provider.js';

export interface HostAges {
  readonly listsReadAt: Date | null;
  readonly bootedAt: Date | null;
}

/** When the lists of the sources were last read, and when the host booted; null: it cannot be told. */
export async function readAges(commands: HostCommands): Promise<HostAges> {
  // One of the two files may be missing: what was found is there all the same.
  const lists = (await commands.run(aptCommands.listsRead)).stdout;
  const uptime = (await commands.run(aptCommands.uptime)).stdout;
  return { listsReadAt: latestOf(lists), bootedAt: bootedAt(uptime, Date.now()) };
}

/** The latest of lines of seconds since 1970. Lists that came unchanged leave no trace in the folder: it may be later. */
export function latestOf(text: string): Date | null {
  const seconds = text.split('\n').filter((line) => /^\d{1,11}$/.test(line));
  return seconds.length === 0 ? null : new Date(Math.max(...seconds.map(Number)) * 1000);
}

/** From /proc/uptime (proc_uptime(5)): seconds since the boot, then seconds of idleness. */
export function bootedAt(text: string, nowMs: number): Date | null {
  const [, seconds] = /^(\d{1,10}(?:\.\d+)?) /.exec(text) ?? [];
  return seconds === undefined ? null : new Date(nowMs - Number(seconds) * 1000);
}
