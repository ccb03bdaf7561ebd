import { osFacts } from '../catalogue.js';
import type { Machine } from '../machine.js';
import { notManager, type Entry } from './package-state.js';
import { done, type DemoCommand } from './types.js';

/** Where the updates of a host come from: those that say so in their version are security updates. */
const isSecurity = ({ candidate }: Entry[1]): boolean => /\+deb12u|~deb12u|ubuntu0/.test(candidate);

function sources(machine: Machine): Record<'main' | 'security', string> {
  const { os, site } = machine.profile;
  const suite = os === 'ubuntu' ? 'noble' : 'bookworm';
  const mirror = `http://mirror.${site}.example.net`;
  return {
    main: `${mirror}/${os} ${suite}/main amd64 Packages`,
    security: `${mirror}/${os}-security ${suite}-security/main amd64 Packages`,
  };
}

/** apt-get(8), `indextargets --format`: description, origin, label, suite and codename between tabs, whatever is asked for. */
export function indexTargets(machine: Machine): string {
  const { os } = machine.profile;
  const { main, security } = sources(machine);
  const [origin, suite] = os === 'ubuntu' ? ['Ubuntu', 'noble'] : ['Debian', 'bookworm'];
  const label = os === 'ubuntu' ? 'Ubuntu' : 'Debian-Security';
  return [
    [main, origin, origin, suite, suite],
    [security, origin, label, `${suite}-security`, `${suite}-security`],
  ]
    .map((row) => `${row.join('\t')}\n`)
    .join('');
}

function policy(machine: Machine, [name, state]: Entry): string {
  const { main, security } = sources(machine);
  const from = isSecurity(state) ? security : main;
  const versions = state.version === state.candidate ? [] : [`     ${state.candidate} 500\n        500 ${from}\n`];
  return [
    `${name}:\n  Installed: ${state.installed ? state.version : '(none)'}\n  Candidate: ${state.candidate}\n  Version table:\n`,
    ...versions,
    `${state.installed ? ' *** ' : '     '}${state.version} 500\n        500 ${main}\n`,
    ...(state.installed ? ['        100 /var/lib/dpkg/status\n'] : []),
  ].join('');
}

const aptCache: DemoCommand = (args, _context, { machine }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('apt-cache');
  const [verb, ...names] = args;
  if (verb !== 'policy') return Promise.resolve(done(100, '', `E: Invalid operation ${verb ?? ''}\n`));
  const known = Object.entries(machine.state.packages).filter(([name]) => names.includes(name));
  return Promise.resolve(done(0, known.map((entry) => policy(machine, entry)).join('')));
};

/** dpkg(1) without the queries that dpkg-query(1) answers; null: it is one of those. */
export function dpkgItself(machine: Machine, args: readonly string[]): string | null {
  if (args.includes('--print-architecture')) return 'amd64\n';
  return args.includes('--audit') || args.includes('--configure') ? '' : null;
}

/** util-linux: who holds a lock of the package manager. */
const lslocks: DemoCommand = (args, _context, { machine }) => {
  const isApt = osFacts[machine.profile.os].packageManager === 'apt';
  const path = isApt ? '/var/lib/dpkg/lock-frontend' : '/var/lib/rpm/.rpm.lock';
  const locks = machine.packageLock ? [{ command: isApt ? 'apt-get' : 'dnf', pid: 1, path }] : [];
  const text = args.includes('--json')
    ? `${JSON.stringify({ locks })}\n`
    : locks.map((one) => `${one.path}\n`).join('');
  return Promise.resolve(done(0, text));
};

/** needrestart(1), batch mode: demo hosts change no kernel. */
const needrestart: DemoCommand = (_args, _context, { machine }) => {
  if (osFacts[machine.profile.os].packageManager !== 'apt') return notManager('needrestart');
  const { kernel } = osFacts[machine.profile.os];
  return Promise.resolve(
    done(0, `NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: ${kernel}\nNEEDRESTART-KEXP: ${kernel}\nNEEDRESTART-KSTA: 1\n`),
  );
};

/** Packages that a host which runs with their former version should be rebooted for. */
const wantReboot = ['libc6', 'systemd'];

/** What packages leave behind that ask for a reboot. */
export async function askForReboot(machine: Machine, changed: readonly string[]): Promise<void> {
  const asking = changed.filter((name) => wantReboot.includes(name));
  if (asking.length === 0) return;
  await machine.fs.writeFile('/run/reboot-required', '*** System restart required ***\n');
  await machine.fs.appendFile('/run/reboot-required.pkgs', asking.map((name) => `${name}\n`).join(''));
}

/** Lists are read: the stamp by which others see when. */
export async function stampLists(machine: Machine): Promise<void> {
  for (const folder of ['/var/lib/apt/lists', '/var/lib/apt/periodic']) {
    await machine.fs.mkdir(folder, { recursive: true });
  }
  await machine.fs.writeFile('/var/lib/apt/periodic/update-success-stamp', '');
  machine.onChange();
}

/** Names of `NAME[:ARCHITECTURE][=VERSION]`, as apt-get(8) takes them; an error text where a version is not to be had. */
export function requested(machine: Machine, names: readonly string[]): readonly string[] | { readonly error: string } {
  const bare: string[] = [];
  for (const text of names) {
    const [, name = text, version] = /^([^=:]+)(?::[a-z0-9]+)?(?:=(.*))?$/.exec(text) ?? [];
    const state = Object.hasOwn(machine.state.packages, name) ? machine.state.packages[name] : undefined;
    if (version !== undefined && state !== undefined && version !== state.candidate && version !== state.version)
      return { error: `E: Version '${version}' for '${name}' was not found\n` };
    bare.push(name);
  }
  return bare;
}

export const aptLookCommands: Readonly<Record<string, DemoCommand>> = {
  'apt-cache': aptCache,
  lslocks,
  needrestart,
};
