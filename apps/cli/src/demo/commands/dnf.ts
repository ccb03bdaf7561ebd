import { osFacts, type PackageState } from '../catalogue.js';
import {
  apply,
  installed,
  maxWaitMs,
  notManager,
  plan,
  unescape,
  upgradable,
  withLock,
  type Entry,
} from './package-state.js';
import { done, type DemoCommand } from './types.js';

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

export const dnfCommands: Readonly<Record<string, DemoCommand>> = { rpm, dnf, yum: dnf };
