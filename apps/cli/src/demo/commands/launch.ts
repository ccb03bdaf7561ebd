import type { ExecResult, ResolvedCommandContext } from 'just-bash';
import type { LaunchOptions, Shell } from '../shell.js';
import { done, stdinBytes, variablesOf, type DemoCommand } from './types.js';

async function stdinOf(shell: Shell, options: LaunchOptions): Promise<string> {
  if (options.stdin) return options.stdin;
  return options.inheritsStdin ? (await shell.io.takeStdin()).toString('latin1') : '';
}

async function runShell(argv: readonly string[], shell: Shell, options: LaunchOptions): Promise<ExecResult> {
  const [name = 'sh', ...rest] = argv;
  let prefix = '';
  let index = 0;
  let mode: 'command' | 'stdin' | 'file' = 'file';
  for (; index < rest.length; index += 1) {
    const flag = rest[index] ?? '';
    if (flag === '--') {
      index += 1;
      break;
    }
    if (!/^[-+]./.test(flag)) break;
    if (flag.startsWith('--')) continue;
    if (flag.includes('c')) mode = 'command';
    if (flag.includes('s')) mode = 'stdin';
    if (flag.includes('o')) {
      index += 1;
      prefix += `set ${flag.startsWith('+') ? '+o' : '-o'} ${(rest[index] ?? '').replaceAll(/[^a-z]/g, '')}\n`;
    }
    const options_ = flag.slice(1).replaceAll(/[^eux]/g, '');
    if (options_ !== '') prefix += `set -${options_}\n`;
  }
  const operands = rest.slice(index);
  if (mode === 'command') {
    const [script = '', scriptName = name, ...args] = operands;
    return shell.run(prefix + script, scriptName, args, options);
  }
  const [file, ...fileArgs] = operands;
  if (mode === 'stdin' || file === undefined) {
    const script = Buffer.from(await stdinOf(shell, options), 'latin1').toString('utf8');
    return shell.run(prefix + script, name, operands, { ...options, stdin: undefined, inheritsStdin: false });
  }
  const path = shell.view.resolvePath(options.cwd, file);
  if (!(await shell.view.exists(path))) return done(127, '', `${name}: 0: cannot open ${file}: No such file\n`);
  return shell.run(prefix + (await shell.view.readFile(path)), file, fileArgs, options);
}

interface SudoCall {
  readonly argv: readonly string[];
  readonly user: string;
  readonly readsPassword: boolean;
  readonly variables: Record<string, string>;
  readonly onlyCheck: boolean;
}

/** Options of sudo(8) that matter here; null for one it does not know. */
function parseSudo(args: readonly string[]): SudoCall | null {
  let user = 'root';
  let readsPassword = false;
  let onlyCheck = false;
  const variables: Record<string, string> = {};
  let index = 0;
  for (; index < args.length; index += 1) {
    const flag = args[index] ?? '';
    const assignment = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(flag);
    if (assignment?.[1] !== undefined) variables[assignment[1]] = assignment[2] ?? '';
    else if (flag === '--') {
      index += 1;
      break;
    } else if (!flag.startsWith('-')) break;
    else if (flag === '-u' || flag === '--user') user = args[(index += 1)] ?? 'root';
    else if (flag.startsWith('--user=')) user = flag.slice(7);
    else if (flag === '-p' || flag === '--prompt' || flag === '-g' || flag === '-C') index += 1;
    else if (/^-[nSHEkibA]+$/.test(flag)) readsPassword ||= flag.includes('S');
    else if (flag === '-v' || flag === '-l') onlyCheck = true;
    else if (
      !['--non-interactive', '--stdin', '--set-home', '--preserve-env', '--reset-timestamp'].includes(flag) &&
      !flag.startsWith('--prompt=')
    )
      return null;
  }
  return { argv: args.slice(index), user, readsPassword, variables, onlyCheck };
}

async function runSudo(args: readonly string[], shell: Shell, options: LaunchOptions): Promise<ExecResult> {
  const call = parseSudo(args);
  if (!call) return done(1, '', 'sudo: unsupported option\n');
  if (call.onlyCheck)
    return done(
      0,
      args.includes('-l') ? `User ${shell.user.name} may run the following commands:\n    (ALL) NOPASSWD: ALL\n` : '',
    );
  if (call.user !== 'root' && call.user !== shell.machine.profile.user)
    return done(1, '', `sudo: unknown user ${call.user}\n`);
  if (call.argv.length === 0) return done(1, '', 'usage: sudo [-n] [-S] [-u user] command [arg ...]\n');
  const other = shell.as(call.user);
  shell.machine.journal(
    'sudo',
    other.pid,
    `${shell.user.name} : PWD=${options.cwd} ; USER=${call.user} ; COMMAND=${call.argv.join(' ').slice(0, 200)}`,
  );
  const env = {
    ...other.environment(),
    SUDO_USER: shell.user.name,
    SUDO_UID: String(shell.user.uid),
    ...call.variables,
  };
  return launch(call.argv, other, { ...options, env });
}

async function runEnv(args: readonly string[], shell: Shell, options: LaunchOptions): Promise<ExecResult | null> {
  let env = { ...options.env };
  let index = 0;
  for (; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    const assignment = /^([^=]+)=(.*)$/s.exec(argument);
    if (argument === '-i' || argument === '-' || argument === '--ignore-environment') env = {};
    else if (argument === '-u') delete env[args[(index += 1)] ?? ''];
    else if (argument === '--') {
      index += 1;
      break;
    } else if (assignment?.[1] !== undefined) env[assignment[1]] = assignment[2] ?? '';
    else break;
  }
  if (index >= args.length) return null;
  return launch(args.slice(index), shell, { ...options, env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...env } });
}

/** Options of nice, ionice and stdbuf all take their value in the same word here or as the next one. */
function afterOptions(args: readonly string[]): readonly string[] {
  let index = 0;
  while (index < args.length && (args[index] ?? '').startsWith('-'))
    index += /^-[noice]$/.test(args[index] ?? '') ? 2 : 1;
  return args.slice(index);
}

/** Runs a program by its arguments; shells and launchers of other programs are followed. */
export async function launch(argv: readonly string[], shell: Shell, options: LaunchOptions): Promise<ExecResult> {
  const [path = '', ...args] = argv;
  const name = path.startsWith('/bin/') || path.startsWith('/usr/bin/') ? path.slice(path.lastIndexOf('/') + 1) : path;
  switch (name) {
    case 'sh':
    case 'bash':
    case 'dash':
      return runShell([name, ...args], shell, options);
    case 'sudo':
      return runSudo(args, shell, options);
    case 'env':
      return (await runEnv(args, shell, options)) ?? shell.program(argv, options);
    case 'setsid':
    case 'nohup':
    case 'nice':
    case 'ionice':
    case 'stdbuf': {
      const command = afterOptions(args);
      return command.length === 0
        ? done(name === 'nice' ? 0 : 125, name === 'nice' ? '0\n' : '', '')
        : launch(command, shell, options);
    }
    default:
      return shell.program(argv, options);
  }
}

function optionsFrom(
  context: ResolvedCommandContext,
  how: { terminal: boolean; inheritsStdin: boolean },
): LaunchOptions {
  return { env: variablesOf(context.exportedEnv), cwd: context.cwd, stdin: stdinBytes(context) || undefined, ...how };
}

const launcher =
  (name: string): DemoCommand =>
  (args, context, shell) =>
    launch([name, ...args], shell, optionsFrom(context, { terminal: false, inheritsStdin: false }));

export const launchCommands: Readonly<Record<string, DemoCommand>> = {
  __terminal: (args, context, shell) =>
    launch(args, shell, optionsFrom(context, { terminal: true, inheritsStdin: true })),
  __stdin: (args, context, shell) =>
    launch(args, shell, optionsFrom(context, { terminal: false, inheritsStdin: true })),
  __background: async ([encoded = ''], context, shell) => {
    const script = Buffer.from(encoded, 'base64').toString('utf8');
    const options = optionsFrom(context, { terminal: true, inheritsStdin: false });
    const pid = shell.background(script, { ...options, env: Object.fromEntries(context.env) });
    await context.assignShellVariable?.('fettle_background_pid', String(pid));
    return done(0);
  },
  __wait: async (args, _context, { io }) => {
    const pids = args.map(Number);
    const jobs = pids.length === 0 ? [...io.jobs.values()] : pids.flatMap((pid) => io.jobs.get(pid) ?? []);
    const codes = await Promise.all(jobs);
    return done(pids.length === 0 ? 0 : (codes.at(-1) ?? 127));
  },
  sh: launcher('sh'),
  bash: launcher('bash'),
  dash: launcher('dash'),
  sudo: launcher('sudo'),
  setsid: launcher('setsid'),
  nohup: launcher('nohup'),
  nice: launcher('nice'),
  ionice: launcher('ionice'),
  stdbuf: launcher('stdbuf'),
  trap: (args, context, shell) => {
    const operands = args[0] === '--' ? args.slice(1) : args;
    const [handler = '', ...signals] = operands;
    if (signals.includes('EXIT') || signals.includes('0')) {
      // The handler sees the variables as they are now: they are gone once the script has ended.
      shell.setExitTrap(
        handler === '-' || handler === ''
          ? undefined
          : { script: handler, env: Object.fromEntries(context.env), cwd: context.cwd },
      );
    }
    return Promise.resolve(done(0));
  },
  umask: (args, _context, shell) => {
    const [mask] = args;
    if (mask === undefined) return Promise.resolve(done(0, `${shell.view.umask.toString(8).padStart(4, '0')}\n`));
    if (!/^[0-7]{1,4}$/.test(mask)) return Promise.resolve(done(1, '', `umask: ${mask}: invalid octal number\n`));
    shell.view.umask = Number.parseInt(mask, 8) & 0o777;
    return Promise.resolve(done(0));
  },
};
