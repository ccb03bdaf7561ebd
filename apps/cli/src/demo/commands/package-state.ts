import { setTimeout as delay } from 'node:timers/promises';
import type { PackageState } from '../catalogue.js';
import type { Machine } from '../machine.js';
import { done, type DemoCommand } from './types.js';

/** How long one package takes; long enough that two runs at once meet at the lock. */
const packageMs = 60;
export const maxWaitMs = 600_000;

export type Entry = readonly [name: string, state: PackageState];

export function installed(machine: Machine): Entry[] {
  return Object.entries(machine.state.packages)
    .filter(([, state]) => state.installed)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

export const upgradable = (machine: Machine): Entry[] =>
  installed(machine).filter(([, state]) => state.version !== state.candidate);

/** Printf-like escapes of dpkg-query's and rpm's formats. */
export function unescape(text: string): string {
  return text.replaceAll(
    /\\([ntr\\])/g,
    (_, letter: string) => ({ n: '\n', t: '\t', r: '\r', '\\': '\\' })[letter] ?? letter,
  );
}

/** Shell-style patterns: only `*` and `?`. */
export function matches(name: string, patterns: readonly string[]): boolean {
  if (patterns.length === 0) return true;
  return patterns.some((pattern) => {
    const source = pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll(/\*+/g, '.*')
      .replaceAll('?', '.');
    return new RegExp(`^${source}$`).test(name);
  });
}

/** One package run at a time, as dpkg's and rpm's locks see to; the second waits only if told so. */
export async function withLock(
  machine: Machine,
  waitMs: number,
  signal: AbortSignal | undefined,
  work: () => Promise<void>,
): Promise<boolean> {
  const until = Date.now() + Math.min(waitMs, maxWaitMs);
  while (machine.packageLock) {
    if (Date.now() >= until) return false;
    await delay(50, undefined, { signal: signal ?? new AbortController().signal });
  }
  machine.packageLock = true;
  try {
    await work();
  } finally {
    machine.packageLock = false;
  }
  return true;
}

export interface Change {
  readonly install: readonly string[];
  readonly upgrade: readonly string[];
  readonly remove: readonly string[];
}

export async function apply(
  machine: Machine,
  tool: string,
  change: Change,
  signal: AbortSignal | undefined,
): Promise<void> {
  const signalOption = { signal: signal ?? new AbortController().signal };
  for (const name of [...change.install, ...change.upgrade, ...change.remove]) {
    await delay(packageMs, undefined, signalOption);
    const state = machine.state.packages[name];
    if (!state) continue;
    if (change.remove.includes(name)) state.installed = false;
    else Object.assign(state, { installed: true, version: state.candidate });
    machine.journal(
      tool,
      machine.newPid(),
      `${change.remove.includes(name) ? 'removed' : change.install.includes(name) ? 'installed' : 'upgraded'} ${name} ${state.version}`,
    );
  }
  const log = change.upgrade.length + change.install.length + change.remove.length;
  if (log > 0)
    await machine.fs.appendFile(
      '/var/log/packages.log',
      `${new Date().toISOString()} ${tool}: ${JSON.stringify(change)}\n`,
    );
}

/** What `apt-get VERB NAMES` would do; an error text instead where a package is unknown. */
export function plan(machine: Machine, verb: string, names: readonly string[]): Change | string {
  const known = (name: string): PackageState | undefined =>
    Object.hasOwn(machine.state.packages, name) ? machine.state.packages[name] : undefined;
  const bare = names.map((name) => name.split('=')[0] ?? name);
  const unknown = bare.find((name) => !known(name));
  if (unknown !== undefined) return unknown;
  if (verb === 'remove' || verb === 'purge' || verb === 'autoremove') {
    return { install: [], upgrade: [], remove: bare.filter((name) => known(name)?.installed) };
  }
  if (verb === 'install') {
    const stale = bare.filter((name) => known(name)?.installed && known(name)?.version !== known(name)?.candidate);
    return { install: bare.filter((name) => !known(name)?.installed), upgrade: stale, remove: [] };
  }
  const wanted = upgradable(machine).filter(
    ([name, state]) => !state.held && (bare.length === 0 || bare.includes(name)),
  );
  return { install: [], upgrade: wanted.map(([name]) => name), remove: [] };
}

export const notManager = (tool: string): ReturnType<DemoCommand> =>
  Promise.resolve(done(127, '', `bash: ${tool}: command not found\n`));
