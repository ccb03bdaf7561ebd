import type { Buffer } from 'node:buffer';
import {
  FettleError,
  type HostPackages,
  type PackageManager,
  type RebootNeed,
  type SelectedUpdate,
} from '@fettle/contracts';

/** What a short command on the host came to. */
export interface HostCommandEnd {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs short commands on one host, one after the other. */
export interface HostCommands {
  /** Name of the asset, for messages. */
  readonly host: string;
  /** Throws the errors of the transport. A command that is not there ends with exit code 127. */
  run(argv: readonly string[]): Promise<HostCommandEnd>;
  /** Waits, unless the attempt is called off. */
  sleep(ms: number): Promise<void>;
  /** A line for people in the step's log. */
  note(text: string): void;
}

/** What the installation of a selection would come to, without doing it. */
export interface SimulatedInstall {
  /** Names of all packages that would be installed or updated, those included that the selected ones need. */
  readonly touched: readonly string[];
  /** Why it cannot be done; null: it can. */
  readonly refusal: string | null;
}

/** A command that outlives its connection: argument vector, and the script that it reads from standard input. */
export interface InstallCommand {
  readonly argv: readonly string[];
  readonly stdin: Buffer;
  /** The command of the package manager in it, for messages. */
  readonly shown: readonly string[];
}

export interface PackageActivity {
  /** Programs that hold its locks, for people; empty: nobody is at work. */
  readonly holders: readonly string[];
  /** A change was cut off, and has to be repaired. */
  readonly isInterrupted: boolean;
}

/** How one kind of package manager is spoken to. */
export interface PackageProvider {
  readonly manager: PackageManager;
  /** Reads the lists of packages anew. @throws FettleError `mirror-unreachable`, `package-lock-held` or `package-manager-failed` */
  refresh(commands: HostCommands, lockWaitMs: number): Promise<void>;
  /** Changes nothing. @throws FettleError `package-manager-failed` */
  read(commands: HostCommands): Promise<HostPackages>;
  /** Whether packages are being changed, or were left half-changed. Changes nothing. */
  activity(commands: HostCommands): Promise<PackageActivity>;
  /** Changes nothing. */
  reboot(commands: HostCommands): Promise<RebootNeed>;
  /** Changes nothing. Of no updates: whether the host can install anything as it is. `downgrade` is that of `install`. */
  simulate(commands: HostCommands, updates: readonly SelectedUpdate[], how?: 'downgrade'): Promise<SimulatedInstall>;
  /** `downgrade`: the versions may be older than what is there. */
  install(updates: readonly SelectedUpdate[], lockWaitMs: number, how?: 'downgrade'): InstallCommand;
}

const MAX_QUOTED_LINES = 4;

/** The last lines that a command said, for a message. */
export function lastWords({ stdout, stderr }: Pick<HostCommandEnd, 'stdout' | 'stderr'>): string {
  const lines = (stderr.trim() === '' ? stdout : stderr).split('\n').map((line) => line.trim());
  const telling = lines.filter((line) => /^(E|Error|dpkg|W):? /.test(line));
  const chosen = (telling.length > 0 ? telling : lines.filter(Boolean)).slice(-MAX_QUOTED_LINES);
  return chosen.join(' ').slice(0, 1_000);
}

/** A command of the package manager that failed: names host and command, quotes what was said, and says what to do. */
export function managerFailure(
  host: string,
  argv: readonly string[],
  end: HostCommandEnd,
  code: string,
  remedy: string,
): FettleError {
  const command = argv.slice(0, 3).join(' ');
  return new FettleError({
    code,
    message: `${host}: "${command}" ended with exit code ${end.exitCode}: ${lastWords(end) || 'it said nothing'}`,
    remedy,
    detail: { host, argv, exitCode: end.exitCode },
  });
}
