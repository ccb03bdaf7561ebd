import type { ServiceState } from '../catalogue.js';
import type { JournalEntry, Machine } from '../machine.js';
import { done, type DemoCommand } from './types.js';

const defaultUnits = 'multi-user.target';

function unitName(machine: Machine, name: string): string {
  const full = name.includes('.') ? name : `${name}.service`;
  // Debian's `ssh` and Rocky's `sshd` answer to either name, as the distributions' aliases do.
  const alias = full === 'ssh.service' ? 'sshd.service' : full === 'sshd.service' ? 'ssh.service' : full;
  return Object.hasOwn(machine.state.services, full) || !Object.hasOwn(machine.state.services, alias) ? full : alias;
}

function find(machine: Machine, unit: string): ServiceState | undefined {
  return Object.hasOwn(machine.state.services, unit) ? machine.state.services[unit] : undefined;
}

function stamp(atMs: number): string {
  return `${new Date(atMs).toUTCString().slice(0, 3)} ${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function journalLine(machine: Machine, entry: JournalEntry, output: string): string {
  if (output === 'cat') return `${entry.message}\n`;
  if (output === 'json') {
    const fields = {
      __REALTIME_TIMESTAMP: String(entry.atMs * 1000),
      _HOSTNAME: machine.shortName,
      SYSLOG_IDENTIFIER: entry.unit,
      _PID: String(entry.pid),
      MESSAGE: entry.message,
    };
    return `${JSON.stringify(fields)}\n`;
  }
  const date = new Date(entry.atMs);
  const iso = date.toISOString();
  const day = String(date.getUTCDate()).padStart(2, '0');
  const when = output.startsWith('short-iso')
    ? `${iso.slice(0, 19)}+0000`
    : `${date.toUTCString().slice(8, 11)} ${day} ${iso.slice(11, 19)}`;
  return `${when} ${machine.shortName} ${entry.unit}${entry.pid > 0 ? `[${entry.pid}]` : ''}: ${entry.message}\n`;
}

/** Entries that concern a unit: its own and those that systemd wrote of it. */
function entriesOf(machine: Machine, unit: string): JournalEntry[] {
  const identifier = unit.replace(/\.service$/, '');
  return machine.state.journal.filter((entry) => entry.unit === identifier || entry.message.includes(unit));
}

function status(machine: Machine, unit: string, service: ServiceState): string {
  const state = service.active ? 'active (running)' : service.failed ? 'failed (Result: exit-code)' : 'inactive (dead)';
  const mark = service.active ? '\u25cf' : service.failed ? '\u00d7' : '\u25cb';
  const lines = [
    `${mark} ${unit} - ${service.description}`,
    `     Loaded: loaded (/lib/systemd/system/${unit}; ${service.enabled ? 'enabled' : 'disabled'}; preset: enabled)`,
    `     Active: ${state} since ${stamp(service.sinceMs)}`,
    ...(service.active ? [`   Main PID: ${service.mainPid} (${unit.replace(/\.service$/, '')})`] : []),
    '',
  ];
  const log = entriesOf(machine, unit)
    .slice(-5)
    .map((entry) => journalLine(machine, entry, 'short'));
  return `${lines.join('\n')}${lines.length > 0 ? '\n' : ''}${log.join('')}`;
}

function stopUnit(machine: Machine, unit: string, service: ServiceState): void {
  if (!service.active) return;
  machine.journal('systemd', 1, `Stopping ${unit} - ${service.description}...`);
  service.active = false;
  service.sinceMs = Date.now();
  service.mainPid = 0;
  machine.journal('systemd', 1, `Stopped ${unit} - ${service.description}.`);
}

function startUnit(machine: Machine, unit: string, service: ServiceState): void {
  if (service.active) return;
  machine.journal('systemd', 1, `Starting ${unit} - ${service.description}...`);
  Object.assign(service, { active: true, failed: false, sinceMs: Date.now(), mainPid: machine.newPid() });
  machine.journal('systemd', 1, `Started ${unit} - ${service.description}.`);
}

type Change = (machine: Machine, unit: string, service: ServiceState) => void;

const changes: Readonly<Record<string, Change>> = {
  start: startUnit,
  stop: stopUnit,
  restart: (machine, unit, service) => {
    stopUnit(machine, unit, service);
    startUnit(machine, unit, service);
  },
  'try-restart': (machine, unit, service) => {
    if (!service.active) return;
    stopUnit(machine, unit, service);
    startUnit(machine, unit, service);
  },
  reload: (machine, unit, service) => machine.journal('systemd', 1, `Reloaded ${unit} - ${service.description}.`),
  'reload-or-restart': (machine, unit, service) => {
    if (service.active) machine.journal('systemd', 1, `Reloaded ${unit} - ${service.description}.`);
    else startUnit(machine, unit, service);
  },
  enable: (_machine, _unit, service) => void (service.enabled = true),
  disable: (_machine, _unit, service) => void (service.enabled = false),
  'reset-failed': (_machine, _unit, service) => void (service.failed = false),
};

function listUnits(machine: Machine, args: readonly string[]): string {
  const wanted = args.find((argument) => argument.startsWith('--state='))?.slice(8);
  const onlyFailed = args.includes('--failed') || wanted === 'failed';
  const all = args.includes('--all') || args.includes('-a') || wanted !== undefined;
  const rows = Object.entries(machine.state.services)
    .filter(([, service]) => (onlyFailed ? service.failed : all || service.active || service.failed))
    .filter(
      ([, service]) =>
        wanted === undefined ||
        onlyFailed ||
        wanted === (service.active ? 'running' : 'inactive') ||
        (wanted === 'active' && service.active),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(4, ...rows.map(([unit]) => unit.length));
  const lines = rows.map(([unit, service]) => {
    const [active, sub] = service.active
      ? ['active', 'running']
      : service.failed
        ? ['failed', 'failed']
        : ['inactive', 'dead'];
    return `${unit.padEnd(width)} loaded ${active.padEnd(8)} ${sub.padEnd(7)} ${service.description}`;
  });
  if (args.includes('--no-legend') || args.includes('--plain')) return lines.map((line) => `${line}\n`).join('');
  return `${'UNIT'.padEnd(width)} LOAD   ACTIVE   SUB     DESCRIPTION\n${lines.map((line) => `${line}\n`).join('')}\n${rows.length} loaded units listed.\n`;
}

function show(service: ServiceState, args: readonly string[]): string {
  const all: Record<string, string> = {
    LoadState: 'loaded',
    ActiveState: service.active ? 'active' : service.failed ? 'failed' : 'inactive',
    SubState: service.active ? 'running' : service.failed ? 'failed' : 'dead',
    MainPID: String(service.mainPid),
    UnitFileState: service.enabled ? 'enabled' : 'disabled',
    Description: service.description,
  };
  const at = args.findIndex((argument) => argument === '-p' || argument === '--property');
  const wanted =
    at >= 0
      ? args[at + 1]
      : args.find((argument) => /^(-p|--property=)./.test(argument))?.replace(/^(-p|--property=)/, '');
  const names = wanted === undefined ? Object.keys(all) : wanted.split(',');
  const onlyValue = args.includes('--value');
  return names.map((name) => `${onlyValue ? '' : `${name}=`}${all[name] ?? ''}\n`).join('');
}

/** The file of a unit, as `systemctl cat` shows it. */
function unitText(unit: string, description: string): string {
  const program = unit.replace(/\.[a-z]+$/, '');
  return `# /lib/systemd/system/${unit}\n[Unit]\nDescription=${description}\n\n[Service]\nExecStart=/usr/sbin/${program}\n\n[Install]\nWantedBy=multi-user.target\n`;
}

const systemctl: DemoCommand = (args, _context, shell) => {
  const { machine, user } = shell;
  const operands = args.filter(
    (argument, index) => !argument.startsWith('-') && !['-p', '--property'].includes(args[index - 1] ?? ''),
  );
  const [verb = 'list-units', ...names] = operands;
  const result = (code: number, out = '', err = ''): ReturnType<DemoCommand> => Promise.resolve(done(code, out, err));
  if (verb === 'list-units') return result(0, listUnits(machine, args));
  if (verb === 'list-unit-files') {
    const rows = Object.entries(machine.state.services).map(
      ([unit, service]) => `${unit.padEnd(34)} ${service.enabled ? 'enabled' : 'disabled'}\n`,
    );
    return result(0, rows.join(''));
  }
  if (verb === 'is-system-running') {
    const degraded = Object.values(machine.state.services).some((service) => service.failed);
    return result(degraded ? 1 : 0, degraded ? 'degraded\n' : 'running\n');
  }
  if (verb === 'get-default') return result(0, `${defaultUnits}\n`);
  if (verb === 'daemon-reload')
    return user.uid === 0
      ? result(0)
      : result(1, '', 'Failed to reload daemon: Interactive authentication required.\n');
  if (verb === 'reboot') return shell.reboot();
  if (names.length === 0) return result(1, '', 'Too few arguments.\n');
  const units = names.map((name) => unitName(machine, name));
  const services = units.map((unit) => find(machine, unit));
  const first = services[0];
  const unknown = units.find((_, index) => services[index] === undefined);
  if (verb === 'is-active') {
    return result(
      services.every((service) => service?.active) ? 0 : 3,
      services.map((service) => (service?.active ? 'active\n' : service?.failed ? 'failed\n' : 'inactive\n')).join(''),
    );
  }
  if (verb === 'is-failed')
    return result(first?.failed ? 0 : 1, first?.failed ? 'failed\n' : first?.active ? 'active\n' : 'inactive\n');
  if (unknown !== undefined) {
    return result(
      verb === 'status' ? 4 : 5,
      '',
      verb === 'status'
        ? `Unit ${unknown} could not be found.\n`
        : `Failed to ${verb} ${unknown}: Unit ${unknown} not found.\n`,
    );
  }
  if (verb === 'cat') {
    const texts = units.map((unit, index) => unitText(unit, services[index]?.description ?? ''));
    return result(0, texts.join('\n'));
  }
  if (verb === 'is-enabled') return result(first?.enabled ? 0 : 1, first?.enabled ? 'enabled\n' : 'disabled\n');
  const found = units.flatMap((unit, index): [string, ServiceState][] =>
    services[index] ? [[unit, services[index]]] : [],
  );
  if (verb === 'status')
    return result(
      found.every(([, service]) => service.active) ? 0 : 3,
      found.map(([unit, service]) => status(machine, unit, service)).join('\n'),
    );
  if (verb === 'show') return result(0, found.map(([, service]) => show(service, args)).join('\n'));
  const change = Object.hasOwn(changes, verb) ? changes[verb] : undefined;
  if (!change) return result(1, '', `Unknown command verb ${verb}.\n`);
  if (user.uid !== 0)
    return result(1, '', `Failed to ${verb} ${units[0] ?? ''}: Interactive authentication required.\n`);
  for (const [unit, service] of found) {
    change(machine, unit, service);
    if (args.includes('--now') && verb === 'enable') startUnit(machine, unit, service);
    if (args.includes('--now') && verb === 'disable') stopUnit(machine, unit, service);
  }
  machine.onChange();
  return result(0);
};

const service: DemoCommand = (args, context, shell) => {
  const [name = '', verb = ''] = args;
  return systemctl([verb, name], context, shell);
};

function valueOf(args: readonly string[], short: string, long: string): string | undefined {
  const index = args.findIndex((argument) => argument === short || argument === long);
  if (index >= 0) return args[index + 1];
  const joined = args.find(
    (argument) =>
      argument.startsWith(`${long}=`) ||
      (argument.startsWith(short) && !argument.startsWith('--') && argument.length > short.length),
  );
  return joined?.startsWith('--') ? joined.slice(long.length + 1) : joined?.slice(short.length);
}

const journalctl: DemoCommand = (args, _context, { machine }) => {
  const unit = valueOf(args, '-u', '--unit');
  const count = Number(valueOf(args, '-n', '--lines') ?? '1000');
  const output = valueOf(args, '-o', '--output') ?? 'short';
  const boot = args.some((argument) => argument === '-b' || argument === '-b0');
  let entries = unit === undefined ? machine.state.journal : entriesOf(machine, unitName(machine, unit));
  if (boot) entries = entries.filter((entry) => entry.atMs >= machine.state.bootedAtMs);
  if (args.includes('--list-boots'))
    return Promise.resolve(
      done(0, ` 0 ${machine.state.bootId.replaceAll('-', '')} ${stamp(machine.state.bootedAtMs)}\n`),
    );
  entries = entries.slice(-(Number.isInteger(count) && count > 0 ? count : 1000));
  if (args.includes('-r') || args.includes('--reverse')) entries = entries.toReversed();
  const text = entries.map((entry) => journalLine(machine, entry, output)).join('');
  return Promise.resolve(done(0, text === '' ? '-- No entries --\n' : text));
};

const logger: DemoCommand = (args, _context, { machine, user, pid }) => {
  const tag = valueOf(args, '-t', '--tag');
  const words = args.filter(
    (argument, index) => !argument.startsWith('-') && !['-t', '--tag', '-p'].includes(args[index - 1] ?? ''),
  );
  machine.journal(tag ?? user.name, pid, words.join(' ').slice(0, 4000));
  return Promise.resolve(done(0));
};

export const serviceCommands: Readonly<Record<string, DemoCommand>> = { systemctl, service, journalctl, logger };
