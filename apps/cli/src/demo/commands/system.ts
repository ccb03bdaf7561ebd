import { osFacts } from '../catalogue.js';
import { done, type DemoCommand } from './types.js';

const uname: DemoCommand = (args, _context, { machine }) => {
  const kernel = osFacts[machine.profile.os].kernel;
  const fields: Record<string, string> = {
    s: 'Linux',
    n: machine.shortName,
    r: kernel,
    v: '#1 SMP PREEMPT_DYNAMIC',
    m: 'x86_64',
    o: 'GNU/Linux',
  };
  const flags = args.join('').replaceAll('-', '');
  const wanted = flags === '' ? 's' : flags.includes('a') ? 'snrvmo' : flags;
  return Promise.resolve(
    done(
      0,
      `${[...'snrvmo']
        .filter((key) => wanted.includes(key))
        .map((key) => fields[key])
        .join(' ')}\n`,
    ),
  );
};

const uptime: DemoCommand = (args, _context, { machine }) => {
  const seconds = Math.floor(machine.uptimeSeconds());
  if (args.includes('-s'))
    return Promise.resolve(
      done(0, `${new Date(machine.state.bootedAtMs).toISOString().slice(0, 19).replace('T', ' ')}\n`),
    );
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const clock = hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}` : `${minutes} min`;
  if (args.includes('-p')) return Promise.resolve(done(0, `up ${days} days, ${hours} hours, ${minutes} minutes\n`));
  const now = new Date().toISOString().slice(11, 19);
  return Promise.resolve(
    done(
      0,
      ` ${now} up ${days > 0 ? `${days} day${days === 1 ? '' : 's'}, ` : ''}${clock},  1 user,  load average: 0.08, 0.05, 0.01\n`,
    ),
  );
};

const hostname: DemoCommand = (args, _context, { machine }) => {
  const [flag] = args;
  const { name, address } = machine.profile;
  if (flag === '-I' || flag === '-i') return Promise.resolve(done(0, `${address} \n`));
  if (flag === '-f' || flag === '--fqdn') return Promise.resolve(done(0, `${name}.example.net\n`));
  return Promise.resolve(done(0, `${machine.shortName}\n`));
};

interface DiskRow {
  readonly source: string;
  readonly type: string;
  readonly sizeKiB: number;
  readonly usedKiB: number;
  readonly target: string;
}

function disks(profile: { diskGiB: number; diskUsedPercent: number; memoryMiB: number }): DiskRow[] {
  const sizeKiB = profile.diskGiB * 1024 * 1024;
  return [
    {
      source: '/dev/vda1',
      type: 'ext4',
      sizeKiB,
      usedKiB: Math.floor((sizeKiB * profile.diskUsedPercent) / 100),
      target: '/',
    },
    { source: 'tmpfs', type: 'tmpfs', sizeKiB: profile.memoryMiB * 102, usedKiB: 1024, target: '/run' },
  ];
}

function human(kiB: number): string {
  const units = ['K', 'M', 'G', 'T'];
  let value = kiB;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)}${units[unit] ?? ''}`;
}

const df: DemoCommand = (args, _context, { machine }) => {
  const output = args.find((argument) => argument.startsWith('--output'));
  const flags = args.filter((argument) => /^-[A-Za-z]+$/.test(argument)).join('');
  const paths = args.filter((argument) => !argument.startsWith('-'));
  const rows = disks(machine.profile).filter((row, index) =>
    paths.length === 0 ? true : paths.some((path) => (path.startsWith('/run') ? row.target === '/run' : index === 0)),
  );
  const size = (kiB: number): string =>
    flags.includes('h') ? human(kiB) : flags.includes('m') ? `${Math.ceil(kiB / 1024)}` : `${kiB}`;
  const cells = rows.map((row) => ({
    source: row.source,
    fstype: row.type,
    size: size(row.sizeKiB),
    used: size(row.usedKiB),
    avail: size(row.sizeKiB - row.usedKiB),
    pcent: `${Math.ceil((row.usedKiB * 100) / row.sizeKiB)}%`,
    target: row.target,
  }));
  const blocks = flags.includes('h') ? 'Size' : flags.includes('P') ? '1024-blocks' : '1K-blocks';
  const titles: Record<string, string> = {
    source: 'Filesystem',
    fstype: 'Type',
    size: blocks,
    used: 'Used',
    avail: flags.includes('P') ? 'Available' : 'Avail',
    pcent: flags.includes('P') ? 'Capacity' : 'Use%',
    target: 'Mounted on',
  };
  const columns = output?.includes('=')
    ? output.slice(output.indexOf('=') + 1).split(',')
    : ['source', ...(flags.includes('T') ? ['fstype'] : []), 'size', 'used', 'avail', 'pcent', 'target'];
  const unknown = columns.find((column) => titles[column] === undefined);
  if (unknown !== undefined) return Promise.resolve(done(1, '', `df: option --output: field '${unknown}' unknown\n`));
  const table = [titles, ...cells].map((row) => columns.map((column) => (row as Record<string, string>)[column] ?? ''));
  const widths = columns.map((_, index) => Math.max(...table.map((row) => row[index]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, index) =>
        index === row.length - 1 && columns[index] === 'target'
          ? cell
          : index === 0 && columns.length > 1
            ? cell.padEnd(widths[index] ?? 0)
            : cell.padStart(widths[index] ?? 0),
      )
      .join(' '),
  );
  return Promise.resolve(done(0, `${lines.join('\n')}\n`));
};

const reboot: DemoCommand = (_args, _context, shell) => shell.reboot();

/** shutdown(8): a host that has gone down for good could not be brought back. */
const shutdown: DemoCommand = (args, _context, shell) =>
  args.includes('-r')
    ? shell.reboot()
    : Promise.resolve(done(1, '', 'shutdown: a demo host can only be rebooted (-r)\n'));

const kill: DemoCommand = (args, _context, { machine }) => {
  let signal = 'TERM';
  const rest = [...args];
  const first = rest[0] ?? '';
  if (first === '-s' || first === '-n') {
    signal = rest[1] ?? 'TERM';
    rest.splice(0, 2);
  } else if (/^-([A-Z0-9]+)$/i.test(first) && (rest.length > 1 || first === '-l')) {
    signal = first.slice(1);
    rest.shift();
  }
  if (rest[0] === '--') rest.shift();
  const byNumber: Record<string, string> = { '1': 'HUP', '2': 'INT', '3': 'QUIT', '9': 'KILL', '15': 'TERM' };
  signal = byNumber[signal] ?? signal.toUpperCase().replace(/^SIG/, '');
  if (rest.length === 0) return Promise.resolve(done(2, '', 'kill: usage: kill [-s sigspec | -signum] pid ...\n'));
  let errors = '';
  for (const target of rest) {
    const pid = Number(target);
    if (!Number.isInteger(pid) || pid === 0) errors += `kill: ${target}: arguments must be process or job IDs\n`;
    else if (!machine.kill(pid < 0 ? { groupId: -pid } : { pid }, signal))
      errors += `kill: (${target}) - No such process\n`;
  }
  return Promise.resolve(done(errors === '' ? 0 : 1, '', errors));
};

const id: DemoCommand = (args, _context, { user }) => {
  const isName = args.some((argument) => argument.includes('n'));
  if (args.some((argument) => /^-n?[ug]n?$/.test(argument)))
    return Promise.resolve(done(0, `${isName ? user.name : user.uid}\n`));
  const groups = user.uid === 0 ? '0(root)' : `${user.uid}(${user.name}),27(sudo)`;
  return Promise.resolve(done(0, `uid=${user.uid}(${user.name}) gid=${user.uid}(${user.name}) groups=${groups}\n`));
};

const whoami: DemoCommand = (_args, _context, { user }) => Promise.resolve(done(0, `${user.name}\n`));
const nproc: DemoCommand = (_args, _context, { machine }) => Promise.resolve(done(0, `${machine.profile.cpus}\n`));

export const systemCommands: Readonly<Record<string, DemoCommand>> = {
  uname,
  uptime,
  hostname,
  df,
  reboot,
  shutdown,
  kill,
  id,
  whoami,
  nproc,
};
