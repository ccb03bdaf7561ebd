import { osFacts } from '../catalogue.js';
import type { Machine } from '../machine.js';
import { askForReboot, dpkgItself, indexTargets, requested, stampLists } from './apt-look.js';
import {
  apply,
  installed,
  matches,
  maxWaitMs,
  notManager,
  plan,
  unescape,
  upgradable,
  withLock,
  type Entry,
} from './package-state.js';
import { done, type DemoCommand } from './types.js';

const lockText =
  'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by another process\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n';

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
  if (verb === 'indextargets') return done(0, indexTargets(machine));
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
    await stampLists(machine);
    return done(
      0,
      `Hit:1 http://mirror.${machine.profile.site}.example.net stable InRelease\nReading package lists...\nBuilding dependency tree...\n${upgradable(machine).length} packages can be upgraded. Run 'apt list --upgradable' to see them.\n`,
    );
  }
  const bare = requested(machine, verb === 'autoremove' ? [] : names);
  if ('error' in bare) return done(100, 'Reading package lists...\n', bare.error);
  const change = plan(machine, verb, bare);
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
    await askForReboot(machine, change.upgrade);
  }
  return done(0, `${[...summary, ...steps].join('\n')}\n`);
};

const aptMark: DemoCommand = (args, _context, { machine, user }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('apt-mark');
  const [verb, ...names] = args;
  // Nothing on a demo host was installed for something else.
  if (verb === 'showauto' || verb === 'auto') return Promise.resolve(done(0));
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
    Status: `${state.held ? 'hold' : 'install'} ok installed`,
    'db:Status-Want': state.held ? 'hold' : 'install',
    'db:Status-Status': 'installed',
    'db:Status-Eflag': 'ok',
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

const dpkg: DemoCommand = (args, context, shell) => {
  const said = osFacts[shell.machine.profile.os].packageManager === 'apt' ? dpkgItself(shell.machine, args) : null;
  return said === null ? dpkgQuery(args, context, shell) : Promise.resolve(done(0, said));
};

export const aptCommands: Readonly<Record<string, DemoCommand>> = {
  apt,
  'apt-get': apt,
  'apt-mark': aptMark,
  dpkg,
  'dpkg-query': dpkgQuery,
};
