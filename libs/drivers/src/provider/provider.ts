import { Buffer } from 'node:buffer';
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
  /** For so long another program that keeps the package manager from reading is waited for; absent: not at all. */
  readonly lockWaitMs?: number;
}

/** What the installation of a selection would come to, without doing it. */
export interface SimulatedInstall {
  /** Names of all packages that would be installed or updated, those included that the selected ones need. */
  readonly touched: readonly string[];
  /** In which version, as far as it says so; by `name:architecture`, or by name where it does not tell the architecture. */
  readonly versions?: ReadonlyMap<string, string>;
  /** Why it cannot be done; null: it can. */
  readonly refusal: string | null;
  /** Names of packages that the refusal is about, where the manager tells them apart; absent or empty: it does not. */
  readonly blamed?: readonly string[] | undefined;
}

/** What the output of an installation tells beside its log. */
export interface InstallReport {
  /** Takes the output as it comes, in any pieces. */
  add(stream: 'stdout' | 'stderr', text: string): void;
  /** Why packages could not be installed, by name. */
  readonly errors: ReadonlyMap<string, string>;
  /** What went wrong with packages that the manager counts as installed all the same, by name. */
  readonly warnings: ReadonlyMap<string, string>;
  /** Files that hold what a configuration file would be without the changes that were made to it on the host, or the other way round. */
  readonly keptFiles: readonly string[];
  /** Lines of the manager's own errors. */
  readonly complaints: readonly string[];
  /** Services that run with files that are no longer there. */
  readonly services: readonly string[];
  /** Something that was cut off before was mended, or, with apt, tried to be: its next version may mend a package as well. */
  readonly isRepaired: boolean;
  /** What was cut off before could not be mended; apt's own state of its packages tells that. */
  readonly isRepairFailed?: boolean;
  /** Packages that would have come along though they were not foreseen, with their versions: nothing was installed because of them. */
  readonly unforeseen?: readonly string[];
  /** Why nothing could be done, as far as it is one of these: another program at work, or a source that cannot be reached. */
  readonly trouble: 'locked' | 'unreached' | null;
}

/** A command that outlives its connection: argument vector, and the script that it reads from standard input. */
export interface InstallCommand {
  readonly argv: readonly string[];
  readonly stdin: Buffer;
  /** The command of the package manager in it, for messages. */
  readonly shown: readonly string[];
  /** Reads its output. */
  newReport(): InstallReport;
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
  /** Changes nothing. @throws FettleError `package-lock-held` or `package-manager-failed` */
  read(commands: HostCommands): Promise<HostPackages>;
  /** Whether packages are being changed, or were left half-changed. Changes nothing. */
  activity(commands: HostCommands): Promise<PackageActivity>;
  /** Changes nothing. */
  reboot(commands: HostCommands): Promise<RebootNeed>;
  /** Changes nothing. Of no updates: whether the host can install anything as it is. `downgrade` is that of `install`. */
  simulate(commands: HostCommands, updates: readonly SelectedUpdate[], how?: 'downgrade'): Promise<SimulatedInstall>;
  /**
   * `downgrade`: the versions may be older than what is there. `foreseen`: names, or `name=version`, of all that may be installed; where
   * it comes to anything else on the host, nothing is. Absent: whatever the updates bring along.
   */
  install(
    updates: readonly SelectedUpdate[],
    lockWaitMs: number,
    how?: 'downgrade',
    foreseen?: readonly string[],
  ): InstallCommand;
}

const MAX_QUOTED_LINES = 4;

/** The last lines that a command said, for a message. */
export function lastWords({ stdout, stderr }: Pick<HostCommandEnd, 'stdout' | 'stderr'>): string {
  const lines = (stderr.trim() === '' ? stdout : stderr).split('\n').map((line) => line.trim());
  const telling = lines.filter((line) => /^(E|Error|dpkg|W):? /.test(line));
  const chosen = (telling.length > 0 ? telling : lines.filter(Boolean)).slice(-MAX_QUOTED_LINES);
  return chosen.join(' ').slice(0, 1_000);
}

/** The first words of a command, for messages: of dnf without the options before what it is to do. */
export function shownCommand([program = '', ...words]: readonly string[]): string {
  const options = program === 'dnf' ? words.findIndex((word) => !word.startsWith('-')) : 0;
  return [program, ...words.slice(Math.max(0, options)).slice(0, 2)].join(' ');
}

/** A command of the package manager that failed: names host and command, quotes what was said, and says what to do. */
export function managerFailure(
  host: string,
  argv: readonly string[],
  end: HostCommandEnd,
  code: string,
  remedy: string,
): FettleError {
  return new FettleError({
    code,
    message: `${host}: "${shownCommand(argv)}" ended with exit code ${end.exitCode}: ${lastWords(end) || 'it said nothing'}`,
    remedy,
    detail: { host, argv, exitCode: end.exitCode },
  });
}

/** Standard output of a command that has to succeed. @throws FettleError `package-manager-failed` */
export async function must(
  commands: HostCommands,
  argv: readonly string[],
  remedyOf: (end: HostCommandEnd) => string = () => 'Run the command on the host and mend what it complains of.',
): Promise<string> {
  const end = await commands.run(argv);
  if (end.exitCode === 0) return end.stdout;
  throw managerFailure(commands.host, argv, end, 'package-manager-failed', remedyOf(end));
}

/** Names of packages, versions, and one with the other; nothing that a shell would take for more than a text. */
const FORESEEN = /^[A-Za-z0-9][A-Za-z0-9+._~:^=-]*$/;

/** A script, given what it may install (`foreseen`, a line each; empty: anything). What is no name or version is foreseen by nobody. */
export function withForeseen(script: string, foreseen: readonly string[] | undefined): Buffer {
  const lines = foreseen?.filter((one) => FORESEEN.test(one)) ?? [];
  const isAny = foreseen === undefined;
  return Buffer.from(`foreseen='${isAny ? '' : lines.join('\n') || '-'}'\n${script.trimStart()}`);
}
