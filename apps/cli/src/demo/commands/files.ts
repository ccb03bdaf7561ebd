import { randomBytes } from 'node:crypto';
import type { FsStat } from 'just-bash';
import type { Shell } from '../shell.js';
import { done, type DemoCommand } from './types.js';

const resolve = (shell: Shell, cwd: string, path: string): string => shell.view.resolvePath(cwd, path);

function typeName(entry: FsStat): string {
  if (entry.isSymbolicLink) return 'symbolic link';
  if (entry.isDirectory) return 'directory';
  return entry.size === 0 ? 'regular empty file' : 'regular file';
}

function permissions(entry: FsStat): string {
  const letters = [...'rwxrwxrwx'].map((letter, index) => ((entry.mode >> (8 - index)) & 1 ? letter : '-')).join('');
  return `${entry.isDirectory ? 'd' : entry.isSymbolicLink ? 'l' : '-'}${letters}`;
}

function statFields(shell: Shell, path: string, shown: string, entry: FsStat): Record<string, string> {
  const [owner = 'root', group = 'root'] = shell.machine.ownerOf(path).split(':');
  const id = (name: string): string => (name === 'root' ? '0' : name === shell.machine.profile.user ? '1000' : '33');
  return {
    a: (entry.mode & 0o7777).toString(8),
    A: permissions(entry),
    U: owner,
    G: group,
    u: id(owner),
    g: id(group),
    s: String(entry.size),
    n: shown,
    N: `'${shown}'`,
    F: typeName(entry),
    y: `${entry.mtime.toISOString().slice(0, 23).replace('T', ' ')}000000 +0000`,
    Y: String(Math.floor(entry.mtime.getTime() / 1000)),
    h: '1',
    b: String(Math.ceil(entry.size / 512)),
    B: '512',
    '%': '%',
  };
}

const stat: DemoCommand = async (args, context, shell) => {
  let format: string | undefined;
  let follow = false;
  let newline = '\n';
  const paths: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    if (argument === '-c' || argument === '--format') format = args[(index += 1)] ?? '';
    else if (argument.startsWith('--format=')) format = argument.slice(9);
    else if (argument.startsWith('-c') && argument.length > 2) format = argument.slice(2);
    else if (argument.startsWith('--printf=')) {
      format = argument.slice(9).replaceAll('\\n', '\n').replaceAll('\\t', '\t');
      newline = '';
    } else if (argument === '-L') follow = true;
    else if (argument !== '--' && argument !== '-t') paths.push(argument);
  }
  if (paths.length === 0) return done(1, '', 'stat: missing operand\n');
  let out = '';
  let err = '';
  for (const shown of paths) {
    const path = resolve(shell, context.cwd, shown);
    try {
      const entry = follow ? await shell.view.stat(path) : await shell.view.lstat(path);
      const fields = statFields(shell, path, shown, entry);
      const text =
        format ??
        '  File: %n\n  Size: %s\t\tBlocks: %b\tIO Block: 4096   %F\nAccess: (0%a/%A)  Uid: ( %u/ %U)   Gid: ( %g/ %G)\nModify: %y';
      out += text.replaceAll(/%([A-Za-z%])/g, (_, key: string) => fields[key] ?? '?') + newline;
    } catch {
      err += `stat: cannot statx '${shown}': No such file or directory\n`;
    }
  }
  return done(err === '' ? 0 : 1, out, err);
};

const chown: DemoCommand = async (args, context, shell) => {
  const operands = args.filter((argument) => !argument.startsWith('-'));
  const recursive = args.some((argument) => argument === '-R' || argument === '--recursive');
  const [owner = '', ...paths] = operands;
  if (paths.length === 0) return done(1, '', 'chown: missing operand\n');
  const { machine, user } = shell;
  const known = ['root', 'www-data', 'daemon', machine.profile.user, '0', '1000', '33'];
  const names: Record<string, string> = { '0': 'root', '1000': machine.profile.user, '33': 'www-data' };
  const [newUser = '', newGroup] = owner.split(/[:.]/);
  const wrong = [newUser, newGroup ?? ''].find((name) => name !== '' && !known.includes(name));
  if (wrong !== undefined) return done(1, '', `chown: invalid user: '${owner}'\n`);
  let err = '';
  for (const shown of paths) {
    const path = resolve(shell, context.cwd, shown);
    if (!(await shell.view.exists(path))) {
      err += `chown: cannot access '${shown}': No such file or directory\n`;
      continue;
    }
    const below = recursive ? machine.fs.getAllPaths().filter((other) => other.startsWith(`${path}/`)) : [];
    for (const each of [path, ...below]) {
      const [oldUser = 'root', oldGroup = 'root'] = machine.ownerOf(each).split(':');
      const next = `${newUser === '' ? oldUser : (names[newUser] ?? newUser)}:${newGroup === undefined || newGroup === '' ? oldGroup : (names[newGroup] ?? newGroup)}`;
      if (next === `${oldUser}:${oldGroup}`) continue;
      if (user.uid !== 0) {
        err += `chown: changing ownership of '${shown}': Operation not permitted\n`;
        break;
      }
      if (next === machine.defaultOwner(each)) delete machine.state.owners[each];
      else machine.state.owners[each] = next;
      machine.onChange();
    }
  }
  return done(err === '' ? 0 : 1, '', err);
};

const mktemp: DemoCommand = async (args, context, shell) => {
  const isDirectory = args.includes('-d');
  const at = args.indexOf('-p');
  const folder = at >= 0 ? (args[at + 1] ?? '/tmp') : '/tmp';
  const [template] = args.filter((argument, index) => !argument.startsWith('-') && (at < 0 || index !== at + 1));
  const pattern = template ?? `${folder}/tmp.XXXXXXXXXX`;
  const count = /X+$/.exec(pattern)?.[0].length ?? 0;
  if (count < 3) return done(1, '', `mktemp: too few X's in template '${pattern}'\n`);
  const name = randomBytes(count).toString('hex').slice(0, count);
  const shown = `${at >= 0 && template !== undefined ? `${folder}/` : ''}${pattern.slice(0, -count)}${name}`;
  const path = resolve(shell, context.cwd, shown);
  try {
    if (isDirectory) await shell.view.mkdir(path);
    else await shell.view.writeFile(path, '');
    await shell.view.chmod(path, isDirectory ? 0o700 : 0o600);
  } catch {
    return done(
      1,
      '',
      `mktemp: failed to create ${isDirectory ? 'directory' : 'file'} via template '${pattern}': No such file or directory\n`,
    );
  }
  return done(0, `${shown}\n`);
};

/** The built-in `ls` names one user for everything: put the owners in. */
const ls: DemoCommand = async (args, context, shell) => {
  if (!context.origCommand) return done(127, '', 'ls: not available\n');
  const result = await context.origCommand(args);
  if (!args.some((argument) => /^-[A-Za-z]*l/.test(argument))) return result;
  const operands = args.filter((argument) => !argument.startsWith('-'));
  let folder = resolve(shell, context.cwd, operands.length === 1 ? (operands[0] ?? '.') : '.');
  const lines: string[] = [];
  for (const line of result.stdout.split('\n')) {
    const header = /^(\S.*):$/.exec(line);
    if (header?.[1] !== undefined) folder = resolve(shell, context.cwd, header[1]);
    const match = /^[-dl]\S{9}(\s+\d+) user user (\s*\d+ \S+ +\S+ +\S+ )(.*)$/.exec(line);
    const [, links = '', size = '', name = ''] = match ?? [];
    const shown = name.replace(/ -> .*$/, '').replace(/[/*@]$/, '');
    const path = resolve(shell, operands.includes(shown) ? context.cwd : folder, shown);
    const entry = match ? await shell.view.lstat(path).catch(() => undefined) : undefined;
    const owner = shell.machine.ownerOf(path).replace(':', ' ');
    lines.push(entry ? `${permissions(entry)}${links} ${owner} ${size}${name}` : line);
  }
  return { ...result, stdout: lines.join('\n') };
};

const sync: DemoCommand = () => Promise.resolve(done(0));

export const fileCommands: Readonly<Record<string, DemoCommand>> = { stat, chown, mktemp, ls, sync };
