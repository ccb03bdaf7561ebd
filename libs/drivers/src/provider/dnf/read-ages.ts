import { dnfCommands } from '@fettle/contracts';
import { bootedAt, type HostAges } from '../apt/read-ages.js';
import type { HostCommands } from '../provider.js';

/** When the lists of the sources were last read, and when the host booted; null: it cannot be told. */
export async function readAges(commands: HostCommands): Promise<HostAges> {
  const sources = await commands.run(dnfCommands.sources);
  const lists = await commands.run(dnfCommands.listsRead);
  const uptime = await commands.run(dnfCommands.uptime);
  return {
    listsReadAt: sources.exitCode === 0 ? oldestOf(sources.stdout, lists.stdout) : null,
    bootedAt: bootedAt(uptime.stdout, Date.now()),
  };
}

/**
 * The source that was read the longest ago tells, of those that are switched on; null where one of them was never read. `sources` is
 * the table of `dnf repolist`, `lists` has a line for each list: seconds since 1970 and its path, whose folder is the name of the
 * source and a digest. dnf touches that file when it hears that nothing has changed.
 */
export function oldestOf(sources: string, lists: string): Date | null {
  const ids = sources.split('\n').slice(1).flatMap((line) => line.split(/\s/)[0] || []); // prettier-ignore
  const readAt = new Map<string, number>();
  for (const line of lists.split('\n')) {
    const [, seconds, id] = /^(\d{1,11}(?:\.\d+)?) ([^/]+)-[0-9a-f]{16}\//.exec(line) ?? [];
    if (id !== undefined) readAt.set(id, Math.max(readAt.get(id) ?? 0, Number(seconds) * 1000));
  }
  const times = ids.map((id) => readAt.get(id) ?? null);
  return times.length === 0 || times.includes(null) ? null : new Date(Math.min(...times.map(Number)));
}
