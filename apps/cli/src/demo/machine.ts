import { randomUUID } from 'node:crypto';
import { Bash, InMemoryFs } from 'just-bash';
import { shellCommandNames } from './builtin-commands.js';
import { initialPackages, initialServices, osFacts, type PackageState, type ServiceState } from './catalogue.js';
import { imageFiles } from './image.js';
import type { DemoHostProfile } from './roster.js';

const maxJournalEntries = 2000;
const maxFileSystemBytes = 64 * 1024 * 1024;

export interface JournalEntry {
  readonly atMs: number;
  readonly unit: string;
  readonly pid: number;
  readonly message: string;
}

/** What a host remembers besides its files; plain JSON. */
export interface MachineState {
  bootId: string;
  bootedAtMs: number;
  bootCount: number;
  services: Record<string, ServiceState>;
  packages: Record<string, PackageState>;
  journal: JournalEntry[];
  nextPid: number;
  /** Paths whose owner is not what their place suggests -> `user:group`. */
  owners: Record<string, string>;
}

export interface SavedFile {
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly mtimeMs: number;
  /** Base64 of a file's bytes, or a link's target. */
  readonly content?: string;
}

export interface MachineSnapshot {
  readonly version: 1;
  readonly state: MachineState;
  readonly files: readonly SavedFile[];
}

/** Something that runs on the host and can be signalled. */
export interface RunningProcess {
  readonly pid: number;
  /** Process group, which is that of the SSH session that started it. */
  readonly groupId: number;
  readonly user: string;
  readonly command: string;
  readonly startedAtMs: number;
  signal(name: string): void;
}

const derivedPaths = /^\/(bin|usr\/bin|proc|dev)(\/|$)/;

/** One simulated host: its file system, services, packages, journal and running sessions. It knows no SSH. */
export class Machine {
  readonly fs: InMemoryFs;
  readonly state: MachineState;
  readonly processes = new Map<number, RunningProcess>();
  /** A package manager is at work. */
  packageLock = false;
  /** Called after every change that should survive a restart of the estate. */
  onChange: () => void = () => undefined;
  /** Called when the host goes down for a reboot. */
  onReboot: () => void = () => undefined;

  private constructor(
    readonly profile: DemoHostProfile,
    state: MachineState,
  ) {
    this.state = state;
    this.fs = new InMemoryFs({}, { maxTotalBytes: maxFileSystemBytes });
  }

  /** A host as it was delivered. `seed` makes serial numbers and machine ids differ between estates. */
  static fresh(profile: DemoHostProfile, seed: string, commandNames: readonly string[]): Machine {
    const bootedAtMs = Date.now() - profile.uptimeDays * 86_400_000 - 3_600_000;
    const machine = new Machine(profile, {
      bootId: randomUUID(),
      bootedAtMs,
      bootCount: 1,
      services: initialServices(profile, bootedAtMs),
      packages: initialPackages(profile),
      journal: [],
      nextPid: 2000,
      owners: {},
    });
    machine.layOut(commandNames);
    for (const [path, content] of Object.entries(imageFiles(profile, seed))) machine.fs.writeFileSync(path, content);
    for (const [unit, service] of Object.entries(machine.state.services)) {
      machine.journal('systemd', 1, `Started ${unit} - ${service.description}.`, service.sinceMs);
    }
    machine.refreshProc();
    return machine;
  }

  /** A host as it was when the estate stopped. */
  static async restore(
    profile: DemoHostProfile,
    snapshot: MachineSnapshot,
    commandNames: readonly string[],
  ): Promise<Machine> {
    const machine = new Machine(profile, snapshot.state);
    machine.layOut(commandNames);
    const restored = [...snapshot.files].sort((a, b) => a.path.length - b.path.length);
    for (const file of restored) {
      const mtime = new Date(file.mtimeMs);
      if (file.type === 'directory') machine.fs.mkdirSync(file.path, { recursive: true });
      else if (file.type === 'symlink') await machine.fs.symlink(file.content ?? '', file.path);
      else
        machine.fs.writeFileSync(file.path, Buffer.from(file.content ?? '', 'base64'), undefined, {
          mode: file.mode,
          mtime,
        });
      if (file.type === 'directory') await machine.fs.chmod(file.path, file.mode);
    }
    machine.refreshProc();
    return machine;
  }

  /** Directories every host has, and the stubs in /usr/bin by which the shell finds its commands. */
  private layOut(commandNames: readonly string[]): void {
    for (const path of [
      '/tmp',
      '/var/tmp',
      '/var/log',
      '/var/lib',
      '/etc',
      '/root',
      '/home',
      '/run',
      '/srv',
      '/opt',
      '/proc/sys/kernel/random',
      '/dev/fettle',
    ]) {
      this.fs.mkdirSync(path, { recursive: true });
    }
    this.fs.mkdirSync(this.homeOf(this.profile.user), { recursive: true });
    const commands = commandNames.map((name) => ({
      name,
      execute: () => Promise.resolve({ stdout: '', stderr: '', exitCode: 0 }),
    }));
    // Constructing a shell on the bare file system is what makes just-bash write its stubs.
    void new Bash({ fs: this.fs, commands: [...shellCommandNames], customCommands: commands, defenseInDepth: false });
    for (const name of ['null', 'zero', 'urandom', 'tty']) this.fs.writeFileSync(`/dev/${name}`, '');
  }

  homeOf(user: string): string {
    return user === 'root' ? '/root' : `/home/${user}`;
  }

  /** Owner and group that a path has unless something else is recorded: `user:group`. */
  defaultOwner(path: string): string {
    const home = this.homeOf(this.profile.user);
    const { user } = this.profile;
    return path === home || path.startsWith(`${home}/`) ? `${user}:${user}` : 'root:root';
  }

  ownerOf(path: string): string {
    return this.state.owners[path] ?? this.defaultOwner(path);
  }

  /** First label of the host's name, as `hostname -s` prints it. */
  get shortName(): string {
    return this.profile.name.slice(0, this.profile.name.indexOf('.'));
  }

  uptimeSeconds(): number {
    return Math.max(0, (Date.now() - this.state.bootedAtMs) / 1000);
  }

  newPid(): number {
    const pid = this.state.nextPid;
    this.state.nextPid = pid >= 4_000_000 ? 2000 : pid + 1;
    return pid;
  }

  journal(unit: string, pid: number, message: string, atMs = Date.now()): void {
    this.state.journal.push({ atMs, unit, pid, message });
    if (this.state.journal.length > maxJournalEntries)
      this.state.journal.splice(0, this.state.journal.length - maxJournalEntries);
    this.onChange();
  }

  /** Signals every process of a group, or one process; false if there is none. */
  kill(target: { pid: number } | { groupId: number }, signal: string): boolean {
    const found = [...this.processes.values()].filter((process) =>
      'pid' in target ? process.pid === target.pid : process.groupId === target.groupId,
    );
    if (signal !== '0') for (const process of found) process.signal(signal);
    return found.length > 0;
  }

  /** Restarts the host: new boot id, uptime from zero, enabled services up, /tmp and /run empty. */
  async reboot(): Promise<void> {
    const now = Date.now();
    this.journal('systemd-logind', 1, 'The system will reboot now!');
    this.state.bootId = randomUUID();
    this.state.bootedAtMs = now;
    this.state.bootCount += 1;
    for (const service of Object.values(this.state.services)) {
      service.active = service.enabled;
      service.failed = false;
      service.sinceMs = now;
      service.mainPid = service.enabled ? this.newPid() : 0;
    }
    for (const directory of ['/tmp', '/run']) {
      for (const name of await this.fs.readdir(directory))
        await this.fs.rm(`${directory}/${name}`, { recursive: true, force: true });
    }
    this.journal('kernel', 0, `Linux version ${osFacts[this.profile.os].kernel}`);
    this.refreshProc();
    this.onChange();
    this.onReboot();
  }

  /** Brings the files in /proc up to date; done before each session, so that they are plain files. */
  refreshProc(): void {
    const uptime = this.uptimeSeconds();
    const { memoryMiB, cpus } = this.profile;
    const availableKiB = Math.round(memoryMiB * 1024 * 0.62);
    const files: Record<string, string> = {
      '/proc/uptime': `${uptime.toFixed(2)} ${(uptime * cpus * 0.93).toFixed(2)}\n`,
      '/proc/loadavg': `0.08 0.05 0.01 1/182 ${this.state.nextPid}\n`,
      '/proc/sys/kernel/random/boot_id': `${this.state.bootId}\n`,
      '/proc/sys/kernel/hostname': `${this.shortName}\n`,
      '/proc/sys/kernel/osrelease': `${osFacts[this.profile.os].kernel}\n`,
      '/proc/version': `Linux version ${osFacts[this.profile.os].kernel} (build@fettle-demo)\n`,
      '/proc/meminfo': [
        ['MemTotal', memoryMiB * 1024],
        ['MemFree', Math.round(availableKiB * 0.7)],
        ['MemAvailable', availableKiB],
        ['Buffers', 24_576],
        ['Cached', Math.round(availableKiB * 0.28)],
        ['SwapTotal', 1_048_572],
        ['SwapFree', 1_048_572],
      ]
        .map(([name, kiB]) => `${`${name}:`.padEnd(15)}${String(kiB).padStart(9)} kB\n`)
        .join(''),
      '/proc/cpuinfo': Array.from(
        { length: cpus },
        (_, index) => `processor\t: ${index}\nmodel name\t: Demo CPU @ 2.40GHz\n\n`,
      ).join(''),
      '/proc/mounts': '/dev/vda1 / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw,nosuid,nodev 0 0\n',
    };
    for (const [path, content] of Object.entries(files)) this.fs.writeFileSync(path, content);
  }

  /** Everything that must be written down; commands' stubs, /proc and /dev follow from the rest. */
  async snapshot(): Promise<MachineSnapshot> {
    const files: SavedFile[] = [];
    for (const path of this.fs.getAllPaths()) {
      if (path === '/' || derivedPaths.test(path)) continue;
      const stat = await this.fs.lstat(path);
      const common = { path, mode: stat.mode & 0o7777, mtimeMs: stat.mtime.getTime() };
      if (stat.isSymbolicLink) files.push({ ...common, type: 'symlink', content: await this.fs.readlink(path) });
      else if (stat.isDirectory) files.push({ ...common, type: 'directory' });
      else
        files.push({
          ...common,
          type: 'file',
          content: Buffer.from(await this.fs.readFileBuffer(path)).toString('base64'),
        });
    }
    return { version: 1, state: this.state, files };
  }
}
