import type { Machine } from '../machine.js';
import { done, type DemoCommand } from './types.js';

const free: DemoCommand = (args, _context, { machine }) => {
  const flags = args.join('');
  const { memoryMiB } = machine.profile;
  const unit = flags.includes('g') ? 1024 * 1024 : flags.includes('m') ? 1024 : flags.includes('b') ? 1 / 1024 : 1;
  const show = (kiB: number): string =>
    (flags.includes('h') ? `${(kiB / 1024 / 1024).toFixed(1)}Gi` : String(Math.floor(kiB / unit))).padStart(12);
  const total = memoryMiB * 1024;
  const available = Math.round(total * 0.62);
  const cache = Math.round(available * 0.28);
  const unused = Math.round(available * 0.7);
  const head = ['total', 'used', 'free', 'shared', 'buff/cache', 'available']
    .map((title) => title.padStart(12))
    .join('');
  const memory = [total, total - available, unused, 2048, cache, available].map(show).join('');
  return Promise.resolve(
    done(0, `       ${head}\nMem:   ${memory}\nSwap:  ${[1_048_572, 0, 1_048_572].map(show).join('')}\n`),
  );
};

interface Row {
  readonly pid: number;
  readonly ppid: number;
  readonly user: string;
  readonly command: string;
  readonly startedAtMs: number;
  readonly groupId: number;
}

function processRows(machine: Machine): Row[] {
  const booted = machine.state.bootedAtMs;
  const services = Object.entries(machine.state.services)
    .filter(([, service]) => service.active)
    .map(([unit, service]): Row => ({
      pid: service.mainPid,
      ppid: 1,
      user: 'root',
      command: `/usr/sbin/${unit.replace(/\.service$/, '')}`,
      startedAtMs: service.sinceMs,
      groupId: service.mainPid,
    }));
  const sessions = [...machine.processes.values()].map((process): Row => ({ ...process, ppid: 1 }));
  return [
    { pid: 1, ppid: 0, user: 'root', command: '/sbin/init', startedAtMs: booted, groupId: 1 },
    ...services,
    ...sessions,
  ].sort((a, b) => a.pid - b.pid);
}

const ps: DemoCommand = (args, _context, { machine, user }) => {
  const rows = processRows(machine);
  const flags = args.join(' ');
  const at = args.findIndex((argument) => argument === '-o' || /^-[A-Za-z]*o$/.test(argument));
  const columns = at >= 0 ? (args[at + 1] ?? 'pid,cmd').split(',').map((column) => column.trim()) : undefined;
  const pidAt = args.indexOf('-p');
  const all = /(^|\s)-?[a-z]*[aexA]/.test(flags) || flags.includes('aux') || flags.includes('-e');
  const chosen =
    pidAt >= 0
      ? rows.filter((row) => (args[pidAt + 1] ?? '').split(',').includes(String(row.pid)))
      : all
        ? rows
        : rows.filter((row) => row.user === user.name);
  if (pidAt >= 0 && chosen.length === 0 && columns !== undefined) return Promise.resolve(done(1));
  if (columns) {
    const quiet = columns.every((column) => column.endsWith('='));
    const value = (row: Row, column: string): string => {
      const values: Record<string, string> = {
        pid: String(row.pid),
        ppid: String(row.ppid),
        pgid: String(row.groupId),
        sid: String(row.groupId),
        user: row.user,
        cmd: row.command,
        args: row.command,
        comm: row.command.split(' ')[0]?.split('/').pop() ?? '',
        etimes: String(Math.floor((Date.now() - row.startedAtMs) / 1000)),
        stat: 'S',
      };
      return values[column.replace(/=$/, '')] ?? '-';
    };
    const head = quiet
      ? ''
      : `${columns.map((column) => column.replace(/=$/, '').toUpperCase().padStart(7)).join(' ')}\n`;
    return Promise.resolve(
      done(
        0,
        head + chosen.map((row) => `${columns.map((column) => value(row, column).padStart(7)).join(' ')}\n`).join(''),
      ),
    );
  }
  const lines = chosen.map(
    (row) =>
      `${row.user.padEnd(12)} ${String(row.pid).padStart(7)} ${String(row.ppid).padStart(7)} ${new Date(row.startedAtMs).toISOString().slice(11, 16)} ${row.command}\n`,
  );
  return Promise.resolve(
    done(0, `${'UID'.padEnd(12)} ${'PID'.padStart(7)} ${'PPID'.padStart(7)} STIME CMD\n${lines.join('')}`),
  );
};

const ip: DemoCommand = async (args, _context, { machine, view }) => {
  const { address } = machine.profile;
  const gateway = `${address.split('.').slice(0, 3).join('.')}.1`;
  const flags = args.filter((argument) => argument.startsWith('-'));
  const [object = 'addr'] = args.filter((argument) => !argument.startsWith('-') && argument !== 'inet');
  if ('route'.startsWith(object))
    return done(
      0,
      `default via ${gateway} dev eth0 proto static\n${gateway.replace(/1$/, '0')}/24 dev eth0 proto kernel scope link src ${address}\n`,
    );
  if (!'address'.startsWith(object) && !'link'.startsWith(object))
    return done(1, '', `Object "${object}" is unknown, try "ip help".\n`);
  const mac = (await view.readFile('/sys/class/net/eth0/address')).trim();
  if (flags.includes('-o'))
    return done(
      0,
      `1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n2: eth0    inet ${address}/24 brd ${address.replace(/\d+$/, '255')} scope global eth0\\       valid_lft forever preferred_lft forever\n`,
    );
  if (flags.includes('-br') || flags.includes('-brief'))
    return done(0, `lo               UNKNOWN        127.0.0.1/8\neth0             UP             ${address}/24\n`);
  return done(
    0,
    `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP\n    link/ether ${mac} brd ff:ff:ff:ff:ff:ff\n    inet ${address}/24 brd ${address.replace(/\d+$/, '255')} scope global eth0\n`,
  );
};

const lsblk: DemoCommand = (args, _context, { machine }) => {
  const size = `${machine.profile.diskGiB}G`;
  if (args.includes('-J') || args.includes('--json')) {
    const disk = {
      name: 'vda',
      size,
      type: 'disk',
      mountpoints: [null],
      children: [{ name: 'vda1', size, type: 'part', mountpoints: ['/'] }],
    };
    return Promise.resolve(done(0, `${JSON.stringify({ blockdevices: [disk] }, null, 3)}\n`));
  }
  return Promise.resolve(
    done(
      0,
      `NAME   MAJ:MIN RM  SIZE RO TYPE MOUNTPOINTS\nvda    254:0    0 ${size.padStart(5)}  0 disk\n\u2514\u2500vda1 254:1    0 ${size.padStart(5)}  0 part /\n`,
    ),
  );
};

const getent: DemoCommand = async (args, _context, { view }) => {
  const [database = '', ...keys] = args;
  const file = ({ passwd: '/etc/passwd', group: '/etc/group', hosts: '/etc/hosts' } as Record<string, string>)[
    database
  ];
  if (file === undefined) return done(1, '', `Unknown database: ${database}\n`);
  const lines = (await view.readFile(file)).split('\n').filter((line) => line !== '');
  if (keys.length === 0) return done(0, `${lines.join('\n')}\n`);
  const found = lines.filter((line) => {
    const fields = database === 'hosts' ? line.split(/\s+/) : [line.split(':')[0], line.split(':')[2]];
    return keys.some((key) => fields.includes(key));
  });
  return found.length === 0 ? done(2) : done(0, `${found.join('\n')}\n`);
};

const lscpu: DemoCommand = (_args, _context, { machine }) =>
  Promise.resolve(
    done(
      0,
      `Architecture:            x86_64\nCPU(s):                  ${machine.profile.cpus}\nModel name:              Demo CPU @ 2.40GHz\n`,
    ),
  );

const lpstat: DemoCommand = (_args, _context, { machine }) => {
  if (machine.profile.role !== 'print') return Promise.resolve(done(127, '', 'bash: lpstat: command not found\n'));
  const up = machine.state.services['cups.service']?.active === true;
  if (!up) return Promise.resolve(done(1, '', 'lpstat: Bad file descriptor\n'));
  return Promise.resolve(done(0, 'printer floor-1 is idle.  enabled\nprinter floor-2 is idle.  enabled\n'));
};

export const hardwareCommands: Readonly<Record<string, DemoCommand>> = { free, ps, ip, lsblk, getent, lscpu, lpstat };
