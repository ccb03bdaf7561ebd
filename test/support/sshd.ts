import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ensureDebianPackages } from './debian-packages.js';
import { freePort } from './free-port.js';

const run = promisify(execFile);
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;
const MAX_HOSTS = 60_000;

export type HostKeyType = 'ed25519' | 'rsa' | 'ecdsa';

export interface SshdUser {
  /** Rule after the user's name in sudoers, e.g. `ALL=(ALL) NOPASSWD: ALL`. */
  readonly sudoers?: string;
  /** Without one the user has none and logs in with a key only. sudo and password logins check it. */
  readonly password?: string;
  /** Default `/bin/sh`: a login shell's start-up files would cost more than the command. */
  readonly shell?: string;
}

export interface SshdOptions {
  readonly users?: readonly SshdUser[];
  readonly hostKeys?: readonly HostKeyType[];
  readonly maxSessions?: number;
  /** Runs in this network namespace (ip-netns(8)): the loopback addresses are those inside of it, which only it reaches. */
  readonly networkNamespace?: string;
  /** More lines for sshd_config. */
  readonly settings?: readonly string[];
}

export interface SshdAccount {
  readonly user: string;
  readonly home: string;
  readonly uid: number;
  readonly privateKey: string;
  readonly password: string | undefined;
}

/** A real sshd on loopback; each address of 127.0.0.0/8 serves as a host of its own. */
export interface Sshd {
  readonly port: number;
  readonly pid: number;
  readonly directory: string;
  readonly accounts: readonly SshdAccount[];
  /** The only or first account. */
  readonly account: SshdAccount;
  /** Address of the n-th host, from 0. */
  address(host: number): string;
  /** Lines to pin. */
  hostKeys(): Promise<string[]>;
  /** What sshd logged since it was started, at level DEBUG1. */
  log(): Promise<string>;
  /** New key of a type, as a host that was set up anew has. Takes effect with the next start. */
  changeHostKey(type: HostKeyType): Promise<void>;
  /** Ends all its sessions, too. */
  kill(): Promise<void>;
  /** Ends the sessions' sshd processes and leaves the listening one. */
  cutSessions(): Promise<void>;
  /** Stops them without ending them, as a host that hangs: connections stay open and nothing answers. */
  freezeSessions(): Promise<void>;
  /** Ids of processes with that name that belong to one of its accounts. */
  processesOf(name: string): Promise<number[]>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function makeAccount(directory: string, options: SshdUser, index: number): Promise<SshdAccount> {
  const user = `fettle-${randomBytes(4).toString('hex')}${index}`;
  const home = join(directory, `home-${index}`);
  // `*` lets a key in and no password; `!` would count as a locked account, which sshd without PAM refuses.
  const password = options.password;
  const hash = password === undefined ? '*' : (await run('openssl', ['passwd', '-6', password])).stdout.trim();
  await run('useradd', [
    '--home-dir',
    home,
    '--create-home',
    '--shell',
    options.shell ?? '/bin/sh',
    '--password',
    hash,
    user,
  ]);
  const uid = Number((await run('id', ['-u', user])).stdout.trim());
  const gid = Number((await run('id', ['-g', user])).stdout.trim());
  const key = join(directory, `key-${index}`);
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', user, '-f', key]);
  await mkdir(join(home, '.ssh'), { mode: 0o700 });
  await writeFile(join(home, '.ssh', 'authorized_keys'), await readFile(`${key}.pub`), { mode: 0o600 });
  await chown(join(home, '.ssh'), uid, gid);
  await chown(join(home, '.ssh', 'authorized_keys'), uid, gid);
  if (options.sudoers !== undefined) {
    await writeFile(`/etc/sudoers.d/${user}`, `${user} ${options.sudoers}\n`, { mode: 0o440 });
  }
  return { user, home, uid, privateKey: await readFile(key, 'utf8'), password };
}

async function removeAccount(account: SshdAccount): Promise<void> {
  await rm(`/etc/sudoers.d/${account.user}`, { force: true });
  // Folders of detached commands.
  await rm(`/var/tmp/fettle-${account.user}`, { recursive: true, force: true });
  // Processes of tests that failed would keep the user; they belong to this user alone.
  for (const pid of await listProcesses(['-U', String(account.uid)])) signalProcess(pid, 'SIGKILL');
  await run('userdel', ['--force', account.user]).catch(() => undefined);
}

async function canConnect(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

class RealSshd implements Sshd {
  private child: ChildProcess | undefined;

  constructor(
    readonly directory: string,
    readonly port: number,
    readonly accounts: readonly SshdAccount[],
    private readonly keyTypes: readonly HostKeyType[],
    private readonly networkNamespace: string | undefined,
  ) {}

  get account(): SshdAccount {
    const first = this.accounts[0];
    if (first === undefined) throw new Error('this sshd has no account');
    return first;
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('sshd does not run');
    return this.child.pid;
  }

  address(host: number): string {
    if (host < 0 || host >= MAX_HOSTS) throw new Error(`host ${host} is out of range`);
    const number = host + 1;
    return `127.1.${Math.floor(number / 250)}.${(number % 250) + 1}`;
  }

  async hostKeys(): Promise<string[]> {
    const files = this.keyTypes.map((type) => readFile(join(this.directory, `host-${type}.pub`), 'utf8'));
    return (await Promise.all(files)).map((line) => line.trim());
  }

  log(): Promise<string> {
    return readFile(join(this.directory, 'log'), 'utf8');
  }

  async changeHostKey(type: HostKeyType): Promise<void> {
    const file = join(this.directory, `host-${type}`);
    await rm(file, { force: true });
    await rm(`${file}.pub`, { force: true });
    await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', 'host', '-f', file]);
  }

  async start(): Promise<void> {
    await writeFile(join(this.directory, 'log'), '');
    const args = ['-D', '-f', join(this.directory, 'sshd_config'), '-E', join(this.directory, 'log')];
    const inside = this.networkNamespace === undefined ? [] : ['ip', 'netns', 'exec', this.networkNamespace];
    const [program = '', ...before] = [...inside, '/usr/sbin/sshd'];
    const child = spawn(program, [...before, ...args], { stdio: 'ignore' });
    this.child = child;
    const deadlineMs = Date.now() + START_TIMEOUT_MS;
    while (!(await this.isUp())) {
      if (child.exitCode !== null || Date.now() > deadlineMs) {
        throw new Error(`sshd did not start on port ${this.port}:\n${await this.log()}`);
      }
      await sleep(20);
    }
  }

  private async isUp(): Promise<boolean> {
    if (this.networkNamespace === undefined) return canConnect(this.port);
    return (await this.log()).includes('Server listening on');
  }

  cutSessions(): Promise<void> {
    return this.signalSessions('SIGKILL');
  }

  freezeSessions(): Promise<void> {
    return this.signalSessions('SIGSTOP');
  }

  private async signalSessions(signal: NodeJS.Signals): Promise<void> {
    // Children of the listener, one a connection, each with a child of its own that runs as the user.
    for (const pid of await listProcesses(['-P', String(this.pid)])) {
      const inner = await listProcesses(['-P', String(pid), '-x', 'sshd']);
      for (const each of [pid, ...inner]) signalProcess(each, signal);
    }
  }

  async processesOf(name: string): Promise<number[]> {
    const uids = this.accounts.map((account) => account.uid).join(',');
    return listProcesses(['-U', uids, '-x', name]);
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    await this.cutSessions();
    this.child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.kill();
    for (const account of this.accounts) await removeAccount(account);
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function listProcesses(filter: readonly string[]): Promise<number[]> {
  // pgrep exits with 1 where it finds none.
  const { stdout } = await run('pgrep', filter).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter(Boolean).map(Number);
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

function configuration(
  directory: string,
  port: number,
  keyTypes: readonly HostKeyType[],
  options: SshdOptions,
): string {
  const password = options.users?.some((user) => user.password !== undefined) === true ? 'yes' : 'no';
  return [
    `Port ${port}`,
    // One sshd takes at most 16 addresses; the wildcard serves all of 127.0.0.0/8.
    'ListenAddress 0.0.0.0',
    ...keyTypes.map((type) => `HostKey ${join(directory, `host-${type}`)}`),
    'PidFile none',
    'UsePAM no',
    `PasswordAuthentication ${password}`,
    'KbdInteractiveAuthentication no',
    // The accounts' homes lie under the system's folder for temporary files, which everybody may write to.
    'StrictModes no',
    'UseDNS no',
    'PrintMotd no',
    'MaxStartups 1000',
    `MaxSessions ${options.maxSessions ?? 200}`,
    'LogLevel DEBUG1',
    ...(options.settings ?? []),
    '',
  ].join('\n');
}

/**
 * Starts a real sshd on a free port with host keys and users of its own. Only root may: sshd must become the users.
 * Always `stop()` it, which removes its users.
 */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  if (process.getuid?.() !== 0) {
    throw new Error('Tests with a real sshd make users of their own, so they must run as root.');
  }
  await ensureDebianPackages(['openssh-server', 'openssh-client', 'sudo', 'procps', 'openssl']);
  // sshd's privilege separation wants it; systemd would have made it.
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const directory = await mkdtemp('/tmp/fettle-sshd-');
  await chmod(directory, 0o755);
  const keyTypes = options.hostKeys ?? ['ed25519'];
  const accounts: SshdAccount[] = [];
  for (const [index, user] of (options.users ?? [{}]).entries())
    accounts.push(await makeAccount(directory, user, index));
  const port = await freePort();
  const sshd = new RealSshd(directory, port, accounts, keyTypes, options.networkNamespace);
  try {
    for (const type of keyTypes) await sshd.changeHostKey(type);
    await writeFile(join(directory, 'sshd_config'), configuration(directory, port, keyTypes, options));
    await sshd.start();
  } catch (error) {
    await sshd.stop();
    throw error;
  }
  return sshd;
}
