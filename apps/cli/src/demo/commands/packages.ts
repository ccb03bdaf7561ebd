import { setTimeout as delay } from 'node:timers/promises';
import { osFacts, type PackageState } from '../catalogue.js';
import type { Machine } from '../machine.js';
import { done, type DemoCommand } from './types.js';

/** How long one package takes; long enough that two runs at once meet at the lock. */
const packageMs = 60;
const maxWaitMs = 600_000;

type Entry = readonly [name: string, state: PackageState];

function installed(machine: Machine): Entry[] {
  return Object.entries(machine.state.packages)
    .filter(([, state]) => state.installed)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

const upgradable = (machine: Machine): Entry[] =>
  installed(machine).filter(([, state]) => state.version !== state.candidate);

/** Printf-like escapes of dpkg-query's and rpm's formats. */
function unescape(text: string): string {
  return text.replaceAll(
    /\\([ntr\\])/g,
    (_, letter: string) => ({ n: '\n', t: '\t', r: '\r', '\\': '\\' })[letter] ?? letter,
  );
}

/** Shell-style patterns: only `*` and `?`. */
function matches(name: string, patterns: readonly string[]): boolean {
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
async function withLock(
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

interface Change {
  readonly install: readonly string[];
  readonly upgrade: readonly string[];
  readonly remove: readonly string[];
}

async function apply(machine: Machine, tool: string, change: Change, signal: AbortSignal | undefined): Promise<void> {
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

const lockText =
  'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by another process\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n';

/** What `apt-get VERB NAMES` would do; an error text instead where a package is unknown. */
function plan(machine: Machine, verb: string, names: readonly string[]): Change | string {
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

const notManager = (tool: string): ReturnType<DemoCommand> =>
  Promise.resolve(done(127, '', `bash: ${tool}: command not found\n`));

function aptList(machine: Machine, args: readonly string[]): string {
  const rows = args.includes('--upgradable')
    ? upgradable(machine)
    : args.includes('--installed')
      ? installed(machine)
      : Object.entries(machine.state.packages);
  const lines = rows.map(([name, state]) =>
    state.installed && state.version !== state.candidate
      ? `${name}/stable ${state.candidate} amd64 [upgradable from: ${state.version}]\n`
      : `${name}/stable,now ${state.version} amd64${state.installed ? ' [installed]' : ''}\n`,
  );
  return `Listing...\n${lines.join('')}`;
}

const apt: DemoCommand = async (args, context, { machine, user }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('apt-get');
  const options = args.filter(
    (argument, index) => argument.startsWith('-') || args[index - 1] === '-o' || args[index - 1] === '-t',
  );
  const [verb = 'help', ...names] = args.filter((argument) => !options.includes(argument));
  if (verb === 'list') return done(0, aptList(machine, args));
  if (verb === 'help' || options.includes('--version')) return done(0, 'apt 2.6.1 (amd64)\n');
  const simulated = options.some((option) => ['-s', '--simulate', '--dry-run', '--just-print'].includes(option));
  if (
    ![
      'update',
      'install',
      'upgrade',
      'dist-upgrade',
      'full-upgrade',
      'remove',
      'purge',
      'autoremove',
      'clean',
      'check',
    ].includes(verb)
  )
    return done(100, '', `E: Invalid operation ${verb}\n`);
  if (user.uid !== 0 && !simulated)
    return done(
      100,
      '',
      'E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n',
    );
  if (verb === 'clean' || verb === 'check') return done(0);
  if (verb === 'update') {
    return done(
      0,
      `Hit:1 http://mirror.${machine.profile.site}.example.net stable InRelease\nReading package lists...\nBuilding dependency tree...\n${upgradable(machine).length} packages can be upgraded. Run 'apt list --upgradable' to see them.\n`,
    );
  }
  const change = plan(machine, verb, verb === 'autoremove' ? [] : names);
  if (typeof change === 'string')
    return done(100, 'Reading package lists...\n', `E: Unable to locate package ${change}\n`);
  const held = upgradable(machine).filter(([, state]) => state.held).length;
  const summary = [
    'Reading package lists...',
    'Building dependency tree...',
    ...(change.upgrade.length > 0 ? ['The following packages will be upgraded:', `  ${change.upgrade.join(' ')}`] : []),
    ...(change.install.length > 0
      ? ['The following NEW packages will be installed:', `  ${change.install.join(' ')}`]
      : []),
    ...(change.remove.length > 0 ? ['The following packages will be REMOVED:', `  ${change.remove.join(' ')}`] : []),
    `${change.upgrade.length} upgraded, ${change.install.length} newly installed, ${change.remove.length} to remove and ${held} not upgraded.`,
  ];
  const version = (name: string): string => machine.state.packages[name]?.candidate ?? '';
  const steps = [...change.upgrade, ...change.install].map(
    (name) => `${simulated ? 'Inst' : 'Setting up'} ${name} (${version(name)})${simulated ? '' : ' ...'}`,
  );
  if (!simulated) {
    const timeout = options
      .map((option) => /DPkg::Lock::Timeout=(-?\d+)/i.exec(option)?.[1])
      .find((value) => value !== undefined);
    const waitMs = timeout === undefined ? 0 : Number(timeout) < 0 ? maxWaitMs : Number(timeout) * 1000;
    if (!(await withLock(machine, waitMs, context.signal, () => apply(machine, 'apt', change, context.signal))))
      return done(100, '', lockText);
  }
  return done(0, `${[...summary, ...steps].join('\n')}\n`);
};

const aptMark: DemoCommand = (args, _context, { machine, user }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('apt-mark');
  const [verb, ...names] = args;
  if (verb === 'showhold')
    return Promise.resolve(
      done(
        0,
        installed(machine)
          .filter(([, state]) => state.held)
          .map(([name]) => `${name}\n`)
          .join(''),
      ),
    );
  if (verb !== 'hold' && verb !== 'unhold')
    return Promise.resolve(done(100, '', `E: Invalid operation ${verb ?? ''}\n`));
  if (user.uid !== 0)
    return Promise.resolve(
      done(
        100,
        '',
        'E: Could not create temporary file for /var/lib/apt/extended_states - mkstemp (13: Permission denied)\n',
      ),
    );
  const unknown = names.find((name) => !Object.hasOwn(machine.state.packages, name));
  if (unknown !== undefined) return Promise.resolve(done(100, '', `E: Unable to locate package ${unknown}\n`));
  for (const name of names) {
    const state = machine.state.packages[name];
    if (state) state.held = verb === 'hold';
  }
  machine.onChange();
  return Promise.resolve(
    done(0, names.map((name) => (verb === 'hold' ? `${name} set on hold.\n` : `Canceled hold on ${name}.\n`)).join('')),
  );
};

/** `${Name}`, `${Name;-30}` of dpkg-query(1). */
function dpkgFormat(format: string, [name, state]: Entry): string {
  const fields: Record<string, string> = {
    Package: name,
    'binary:Package': name,
    Version: state.version,
    Architecture: 'amd64',
    Status: 'install ok installed',
    'db:Status-Status': 'installed',
    'db:Status-Abbrev': 'ii ',
  };
  return unescape(format.replaceAll(/\$\{([A-Za-z:-]+)(?:;(-?\d+))?\}/g, (_, field: string, width: string | undefined) => {
    const value = fields[field] ?? '';
    const columns = Math.min(Math.abs(Number(width ?? 0)), 200);
    return Number(width ?? 0) < 0 ? value.padEnd(columns) : value.padStart(columns);
  })); // prettier-ignore
}

const dpkgQuery: DemoCommand = (args, _context, { machine }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('dpkg-query');
  const at = args.findIndex((argument) => argument === '-f');
  const format =
    at >= 0
      ? args[at + 1]
      : args.find((argument) => /^(-f=?|--showformat=)./.test(argument))?.replace(/^(-f=?|--showformat=)/, '');
  const patterns = args.filter((argument, index) => !argument.startsWith('-') && (at < 0 || index !== at + 1));
  const rows = installed(machine).filter(([name]) => matches(name, patterns));
  if (patterns.length > 0 && rows.length === 0)
    return Promise.resolve(done(1, '', `dpkg-query: no packages found matching ${patterns.join(' ')}\n`));
  if (args.includes('-l') || args.includes('--list'))
    return Promise.resolve(
      done(
        0,
        rows
          .map(([name, state]) => `${state.held ? 'hi' : 'ii'}  ${name.padEnd(28)} ${state.version.padEnd(30)} amd64\n`)
          .join(''),
      ),
    );
  if (args.includes('-s') || args.includes('--status')) {
    return Promise.resolve(
      done(
        0,
        rows
          .map(
            ([name, state]) =>
              `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${state.version}\n`,
          )
          .join('\n'),
      ),
    );
  }
  return Promise.resolve(done(0, rows.map((row) => dpkgFormat(format ?? '${Package}\\t${Version}\\n', row)).join('')));
};

/** Splits `epoch:version-release`. */
function evr(text: string): Record<'EPOCH' | 'VERSION' | 'RELEASE', string> {
  const match = /^(?:(\d+):)?(.*)-([^-]+)$/.exec(text);
  return { EPOCH: match?.[1] ?? '(none)', VERSION: match?.[2] ?? text, RELEASE: match?.[3] ?? '1' };
}

const rpm: DemoCommand = (args, _context, { machine }) => {
  if (osFacts[machine.profile.os].packageManager !== 'dnf') return notManager('rpm');
  const at = args.findIndex((argument) => argument === '--qf' || argument === '--queryformat');
  const format =
    at >= 0 ? args[at + 1] : args.find((argument) => /^--(qf|queryformat)=/.test(argument))?.replace(/^--[a-z]+=/, '');
  const names = args.filter((argument, index) => !argument.startsWith('-') && (at < 0 || index !== at + 1));
  const flags = args.filter((argument) => /^-[a-z]+$/.test(argument)).join('');
  if (!flags.includes('q')) return Promise.resolve(done(1, '', 'rpm: only queries work on demo hosts\n'));
  const missing = names.filter((name) => !installed(machine).some(([installedName]) => installedName === name));
  const rows = installed(machine).filter(([name]) => names.length === 0 || names.includes(name));
  const text = rows.map(([name, state]) => {
    const fields: Record<string, string> = { NAME: name, ARCH: 'x86_64', ...evr(state.version) };
    if (format === undefined) return `${name}-${fields['VERSION'] ?? ''}-${fields['RELEASE'] ?? ''}.x86_64\n`;
    return unescape(
      format.replaceAll(
        /%\{(?:\?)?([A-Za-z]+)(?::[a-z]+)?\}/g,
        (_, field: string) => fields[field.toUpperCase()] ?? '(none)',
      ),
    );
  });
  return Promise.resolve(
    done(
      missing.length > 0 ? 1 : 0,
      text.join('') + missing.map((name) => `package ${name} is not installed\n`).join(''),
    ),
  );
};

const dnf: DemoCommand = async (args, context, { machine, user }) => {
  if (osFacts[machine.profile.os].packageManager !== 'dnf') return notManager('dnf');
  const [verb = 'help', ...names] = args.filter((argument) => !argument.startsWith('-'));
  const rows = (entries: readonly Entry[], version: (state: PackageState) => string): string =>
    entries.map(([name, state]) => `${`${name}.x86_64`.padEnd(40)} ${version(state).padEnd(32)} baseos\n`).join('');
  if (verb === 'list' || verb === 'check-update' || verb === 'makecache') {
    if (verb === 'makecache') return done(0, 'Metadata cache created.\n');
    const isUpdates =
      verb === 'check-update' ||
      names.some((name) => name === 'updates' || name === 'upgrades') ||
      args.includes('--upgrades');
    const text = isUpdates
      ? rows(upgradable(machine), (state) => state.candidate)
      : rows(installed(machine), (state) => state.version);
    return done(verb === 'check-update' && text !== '' ? 100 : 0, text);
  }
  const verbs: Record<string, string> = {
    install: 'install',
    upgrade: 'upgrade',
    update: 'upgrade',
    remove: 'remove',
    erase: 'remove',
  };
  const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (action === undefined) return done(1, '', `No such command: ${verb}.\n`);
  if (user.uid !== 0)
    return done(
      1,
      '',
      'Error: This command has to be run with superuser privileges (under the root user on most systems).\n',
    );
  const change = plan(machine, action, names);
  if (typeof change === 'string') return done(1, '', `Error: Unable to find a match: ${change}\n`);
  const count = change.install.length + change.upgrade.length + change.remove.length;
  if (count === 0) return done(0, 'Dependencies resolved.\nNothing to do.\nComplete!\n');
  // dnf waits for its lock without an end, unlike apt.
  if (!(await withLock(machine, maxWaitMs, context.signal, () => apply(machine, 'dnf', change, context.signal))))
    return done(1, '', 'Error: Failed to obtain the transaction lock.\n');
  const lines = [
    ...change.upgrade.map((name) => `  Upgraded: ${name}`),
    ...change.install.map((name) => `  Installed: ${name}`),
    ...change.remove.map((name) => `  Removed: ${name}`),
  ];
  return done(0, `Dependencies resolved.\n${lines.join('\n')}\nComplete!\n`);
};

export const packageCommands: Readonly<Record<string, DemoCommand>> = {
  apt,
  'apt-get': apt,
  'apt-mark': aptMark,
  dpkg: dpkgQuery,
  'dpkg-query': dpkgQuery,
  rpm,
  dnf,
  yum: dnf,
};
