// A Debian of its own behind a real sshd: processes, mounts and boot id apart from those of this machine.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ensureDebianPackages } from './debian-packages.js';
import { freePort } from './free-port.js';
import type { NetworkNamespace } from './network-namespace.js';

const run = promisify(execFile);
const SUITE = 'bookworm';
const INCLUDED = ['openssh-server', 'sudo', 'procps', 'needrestart'];
const START_TIMEOUT_MS = 60_000;
/** What nobody reads here, and would be copied for each root. */
const LEFT_OUT = [
  'usr/share/doc',
  'usr/share/locale',
  'usr/share/man',
  'usr/share/info',
  'var/cache/apt',
  'var/lib/apt/lists',
];

const cacheFolder = (): string =>
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fettle', 'debian-roots');

/** The mirror that this machine itself takes its packages from. */
async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', `Codename: ${SUITE}`]);
  const [first] = stdout.split('\n');
  if (!first)
    throw new Error(`This machine has no package source of Debian's ${SUITE}: run "apt-get update" on Debian 12.`);
  return first;
}

export interface RootOptions {
  readonly user?: 'root' | 'ops';
  /** Debian's packages that are in there beside those that each root has. */
  readonly packages?: readonly string[];
  /** Its network, where sshd has the port that it has everywhere; without, it shares this machine's. */
  readonly network?: Pick<NetworkNamespace, 'name' | 'address'>;
}

const SSH_PORT = 22;

/** Folder of a root that is ready to be copied: made once on a machine (about a minute), whoever comes first. */
async function baseRoot(included: readonly string[]): Promise<string> {
  await ensureDebianPackages(['debootstrap', 'apt-utils', 'dpkg-dev', 'openssh-client', 'util-linux']);
  const name = createHash('sha256')
    .update(`2 ${SUITE} ${included.join(' ')}`)
    .digest('hex')
    .slice(0, 16);
  const ready = join(cacheFolder(), name);
  if (existsSync(ready)) return ready;
  await mkdir(cacheFolder(), { recursive: true });
  const made = await mkdtemp(join(cacheFolder(), 'making-'));
  await run('debootstrap', ['--variant=minbase', `--include=${included.join(',')}`, SUITE, made, await mirror()], {
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const path of LEFT_OUT) await rm(join(made, path), { recursive: true, force: true });
  await mkdir(join(made, 'var/lib/apt/lists/partial'), { recursive: true });
  await mkdir(join(made, 'var/cache/apt/archives/partial'), { recursive: true });
  await chmod(made, 0o755);
  // Who comes second finds the folder there.
  await rename(made, ready).catch(() => rm(made, { recursive: true, force: true }));
  return ready;
}

/** `$1` root, `$2` file that stands for the boot id (empty: none can be read); then the command. */
const ENTER = `
mount --make-rprivate / || exit 1
mount -t proc proc "$1/proc" || exit 1
mount -t tmpfs -o mode=0755 tmpfs "$1/run" || exit 1
mkdir -p "$1/run/sshd" "$1/run/lock" || exit 1
if [ -n "$2" ]; then mount --bind "$2" "$1/proc/sys/kernel/random/boot_id" || exit 1
else mount --bind /dev/null "$1/proc/sys/kernel/random/boot_id" || exit 1
fi
root=$1
shift 2
exec chroot "$root" "$@"
`;

export class DebianRoot {
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(
    readonly directory: string,
    readonly root: string,
    readonly port: number,
    readonly account: { readonly user: string; readonly privateKey: string },
    private readonly network: RootOptions['network'],
  ) {}

  /** Only root may: it mounts. Always `stop()` it. */
  static async start({ user = 'ops', packages = [], network }: RootOptions = {}): Promise<DebianRoot> {
    if (process.getuid?.() !== 0)
      throw new Error('Tests with a Debian of their own mount file systems: run them as root.');
    const base = await baseRoot([...INCLUDED, ...packages]);
    const directory = await mkdtemp('/tmp/fettle-debian-');
    await chmod(directory, 0o755);
    const root = join(directory, 'root');
    await run('cp', ['-a', '--reflink=auto', base, root]);
    const key = join(directory, 'key');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', key]);
    const account = { user, privateKey: await readFile(key, 'utf8') };
    const port = network === undefined ? await freePort() : SSH_PORT;
    const made = new DebianRoot(directory, root, port, account, network);
    await made.#prepare(`${key}.pub`);
    await made.boot();
    return made;
  }

  address(host: number): string {
    return this.network?.address ?? `127.2.0.${host + 1}`;
  }

  async hostKeys(): Promise<string[]> {
    return [(await readFile(this.path('etc/ssh/ssh_host_ed25519_key.pub'), 'utf8')).trim()];
  }

  path(inside: string): string {
    return join(this.root, inside);
  }

  async write(inside: string, text: string, mode = 0o644): Promise<void> {
    await mkdir(join(this.path(inside), '..'), { recursive: true });
    await writeFile(this.path(inside), text, { mode });
    await chmod(this.path(inside), mode);
  }

  /** Runs a command in the root, beside its processes. */
  async inside(...argv: string[]): Promise<string> {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
    const enter = ['--target', String(await this.#init()), '--mount', '--pid', '--root', '--wd=/'];
    return (await run('nsenter', [...enter, ...argv], { env, maxBuffer: 16 * 1024 * 1024 })).stdout;
  }

  /** Starts a command in the root and leaves it alone; it ends with the root at the latest. */
  async background(...argv: string[]): Promise<ChildProcess> {
    const enter = ['--target', String(await this.#init()), '--mount', '--pid', '--root', '--wd=/'];
    return spawn('nsenter', [...enter, ...argv], { stdio: 'ignore' });
  }

  /**
   * Another program that has a file locked, as a POSIX record lock, until it is released: no time runs out under load. perl comes with
   * every Debian.
   */
  async lock(path: string): Promise<{ release: () => Promise<void> }> {
    await this.inside('rm', '-f', '/tmp/locked', '/tmp/release');
    const child = await this.background(
      'perl',
      '-e',
      `use Fcntl; open(my $f, "+>", "${path}") or die; my $l = pack("s! s! l! l! i!", F_WRLCK, 0, 0, 0, 0); ` +
        'fcntl($f, F_SETLK, $l) or die; open(my $m, ">", "/tmp/locked"); close $m; ' +
        'select(undef, undef, undef, 0.1) until -e "/tmp/release";',
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    while (!existsSync(this.path('tmp/locked'))) {
      if (child.exitCode !== null) throw new Error(`${path} could not be locked`);
      await sleep(20);
    }
    return {
      release: async () => {
        await this.write('tmp/release', '');
        await exited;
      },
    };
  }

  /** Cuts all connections and takes no new ones, while everything else in there runs on; ends with what is given back. */
  async away(): Promise<() => Promise<void>> {
    const init = await this.#init();
    process.kill(init, 'SIGSTOP');
    const { stdout } = await run('pgrep', ['-P', String(init), '-x', 'sshd']).catch(() => ({ stdout: '' }));
    for (const session of stdout.split('\n').filter(Boolean)) process.kill(Number(session), 'SIGKILL');
    return async () => void process.kill(init, 'SIGCONT');
  }

  async version(name: string): Promise<string> {
    const text = await this.inside('dpkg-query', '-W', '-f=${Version} ${db:Status-Status}', name);
    return text.replace(' installed', '');
  }

  /** Comes up with a boot id of its own; `null`: with none that can be read. */
  async boot(bootId: string | null = randomUUID()): Promise<void> {
    const file = join(this.directory, 'boot-id');
    await writeFile(file, `${bootId ?? ''}\n`);
    this.#log = '';
    const sshd = ['/usr/sbin/sshd', '-D', '-e', '-p', String(this.port)];
    // Each of them executes the next one in its place.
    const net = this.network === undefined ? [] : ['nsenter', `--net=/run/netns/${this.network.name}`];
    const [command = '', ...before] = [...net, 'unshare'];
    const child = spawn(
      command,
      [
        ...before,
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        '/bin/sh',
        '-c',
        ENTER,
        'enter',
        this.root,
        bootId === null ? '' : file,
        ...sshd,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-20_000)));
    this.#child = child;
    const giveUpAtMs = Date.now() + START_TIMEOUT_MS;
    while (!this.#log.includes('Server listening on')) {
      if (child.exitCode !== null || Date.now() > giveUpAtMs)
        throw new Error(`the Debian root did not start: ${this.#log}`);
      await sleep(20);
    }
  }

  /** Ends all its processes at once, as a power cut does. */
  async halt(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    await this.halt();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  /** Id, on this machine, of the first process in there. */
  async #init(): Promise<number> {
    const { stdout } = await run('pgrep', ['-P', String(this.#child?.pid)]);
    return Number(stdout.trim());
  }

  async #prepare(publicKey: string): Promise<void> {
    // Keys of its own, not those of the root that it is a copy of.
    for (const type of ['rsa', 'ecdsa', 'ed25519'])
      for (const end of ['', '.pub']) await rm(this.path(`etc/ssh/ssh_host_${type}_key${end}`), { force: true });
    await run('ssh-keygen', ['-A', '-f', this.root]);
    const settings = ['ListenAddress 0.0.0.0', 'UsePAM no', 'StrictModes no', 'UseDNS no', 'PasswordAuthentication no'];
    const more = ['MaxStartups 1000', 'MaxSessions 200', 'PermitRootLogin prohibit-password', 'PidFile none'];
    await this.write(
      'etc/ssh/sshd_config',
      [...settings, ...more, 'AuthorizedKeysFile /etc/ssh/test-keys .ssh/authorized_keys', ''].join('\n'),
    );
    await cp(publicKey, this.path('etc/ssh/test-keys'));
    await run('chroot', [this.root, 'useradd', '--create-home', '--shell', '/bin/sh', '--password', '*', 'ops']);
    await this.write('etc/sudoers.d/ops', 'ops ALL=(ALL) NOPASSWD: ALL\n', 0o440);
    await this.write('etc/hosts', '127.0.0.1 localhost\n');
    // No service is started or restarted by a package: nothing here runs as one.
    await this.write('usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n', 0o755);
    await this.write('etc/apt/sources.list', '');
  }
}
