import { randomUUID } from 'node:crypto';
import { sshError } from './errors.js';
import { quoteArgument, quoteArgv } from './quote.js';
import type { Become, SshEndpoint } from './types.js';

/** Linux gives a single argument 128 KiB (MAX_ARG_STRLEN), and sshd hands the whole line to the shell as one. */
export const MAX_LINE_BYTES = 131_071;
const MAX_PENDING_BYTES = 64 * 1024;
const KEPT_PENDING_BYTES = 4 * 1024;
const START_TEXT_CHARACTERS = 2_000;

/** What is to run, ready to be sent: the shell line and what to expect on its standard error before the command's own. */
export interface WrappedCommand {
  readonly line: string;
  readonly nonce: string;
  readonly becomes: boolean;
  /** What sudo prints when it wants a password. */
  readonly prompt: string | undefined;
  /** The channel must be told where input ends; else the command reads from /dev/null. */
  readonly readsStdin: boolean;
  /** Goes before the command's input, to the shell that becomes the command; it ends with its last byte. */
  readonly preamble: Buffer | undefined;
}

export interface CommandToWrap {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly become?: Become | undefined;
  /** Only whether there is any matters here. */
  readonly stdin?: unknown;
}

function invalid(endpoint: SshEndpoint, what: string, remedy: string): never {
  throw sshError(endpoint, { code: 'invalid-argument', what, remedy, mayHaveStarted: false });
}

function checkCommand(endpoint: SshEndpoint, command: CommandToWrap): void {
  const program = command.argv[0];
  if (program === undefined || program === '' || program.startsWith('-')) {
    invalid(
      endpoint,
      'argv must begin with the name of a program',
      'Give a program name that does not begin with "-".',
    );
  }
  for (const name of Object.keys(command.env ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      invalid(
        endpoint,
        `${JSON.stringify(name.slice(0, 60))} is no name of an environment variable`,
        'Use letters, digits and "_".',
      );
    }
  }
  const user = command.become?.user;
  if (user !== undefined && !/^[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?$/.test(user)) {
    invalid(endpoint, `${JSON.stringify(user.slice(0, 60))} is no user name`, 'Name the user to become, e.g. root.');
  }
}

/** Run by the shell that becomes the command. */
function enterDirectory(command: CommandToWrap, nonce: string): string {
  if (command.cwd === undefined) return '';
  return `cd -- ${quoteArgument(command.cwd)} || { printf '\\n%s\\n' ${nonce}-directory >&2; exit 125; }; `;
}

/** Text for a shell that becomes the command; it ends with no line feed. */
export function exportVariables(command: Pick<CommandToWrap, 'env'>): string {
  return Object.entries(command.env ?? {})
    .map(([name, value]) => `export ${name}=${quoteArgument(value)}; `)
    .join('');
}

/**
 * Takes variables from standard input up to a line with the nonce, and nothing beyond it: POSIX lets `read` take no more of its
 * input than the line. Under sudo all arguments stand in the host's process list for as long as the command runs; a variable
 * must not, and the usual rules of sudo let none through from its own environment. An input that ends early runs nothing.
 */
function execWithVariables(nonce: string, input: string): string {
  const next = 'IFS= read -r fettle_line';
  const gather = `while ${next}; do case $fettle_line in ${nonce}-end) break ;; esac; fettle_text="$fettle_text$fettle_line\n"; done; `;
  const script = `fettle_text=; ${gather}case $fettle_line in ${nonce}-end) ;; *) exit 125 ;; esac; eval "$fettle_text"; exec "$@"${input}`;
  // A shell of its own: one that takes all its input before it begins (as the demo estate's does) has announced itself by then.
  return `exec /bin/sh -c ${quoteArgument(script)} fettle "$@"`;
}

function announce(nonce: string, what: 'login' | 'become'): string {
  // The line feed in front ends whatever a start-up file left without one. `$$` is the process that becomes the command.
  return `printf '\\n%s %s\\n' ${nonce}-${what} "$$" >&2; `;
}

/**
 * Builds the line for the user's shell. The shell announces its process id on standard error and then *becomes* the command
 * (`exec`), so no process is added. sshd makes the shell the leader of a session, so the id names the process group, too.
 * The `:` in front makes shells that are not POSIX (csh, fish) fail before they do anything.
 * @throws FettleError `invalid-argument`
 */
export function wrapCommand(endpoint: SshEndpoint, command: CommandToWrap): WrappedCommand {
  checkCommand(endpoint, command);
  // randomUUID draws from a store of random bytes; asking the system for each command costs more than all else here.
  const nonce = `fettle-${randomUUID()}`;
  const becomeUser = command.become === undefined ? undefined : (command.become.user ?? 'root');
  // A user who already is the one to become needs no sudo, which such hosts often lack.
  const becomes = becomeUser !== undefined && becomeUser !== endpoint.user;
  const guard = ': "${LC_ALL-}"; ';
  let line: string;
  let prompt: string | undefined;
  let preamble: Buffer | undefined;
  const directory = enterDirectory(command, nonce);
  const variables = exportVariables(command);
  if (!becomes) {
    line = `${guard}${directory}${variables}${announce(nonce, 'login')}exec ${quoteArgv(command.argv)}`;
  } else {
    prompt = command.become?.password === undefined ? undefined : `[${nonce}-password]`;
    const asking = prompt === undefined ? ['-n'] : ['-S', '-p', prompt];
    if (variables !== '') preamble = Buffer.from(`${variables}\n${nonce}-end\n`);
    // Its own input ended with the variables.
    const input = command.stdin === undefined ? ' </dev/null' : '';
    const become = preamble === undefined ? 'exec "$@"' : execWithVariables(nonce, input);
    const inner = `${directory}${announce(nonce, 'become')}${become}`;
    const sudo = ['sudo', ...asking, '-H', '-u', becomeUser, '--', '/bin/sh', '-c', inner, 'fettle', ...command.argv];
    line = `${guard}${announce(nonce, 'login')}exec ${quoteArgv(sudo)}`;
  }
  // Saves the packet, and so the system call, that would end the input of each command.
  const readsStdin = command.stdin !== undefined || prompt !== undefined || preamble !== undefined;
  if (!readsStdin) line += ' </dev/null';
  // Variables share the limit of the line, wherever they stand: what works without `become` works with it.
  const lineBytes = Buffer.byteLength(line) + (preamble?.length ?? 0);
  if (lineBytes > MAX_LINE_BYTES) {
    invalid(
      endpoint,
      `the command line takes ${lineBytes} bytes, more than the ${MAX_LINE_BYTES} that a host accepts`,
      'Pass long values through stdin, as ssh.script does, or put a file on the host first.',
    );
  }
  return { line, nonce, becomes, prompt, readsStdin, preamble };
}

export type StartEvent =
  | { readonly kind: 'login'; readonly pid: number }
  | { readonly kind: 'prompt' }
  | { readonly kind: 'no-directory' }
  /** The command's own standard error begins; `rest` is its first part. */
  | { readonly kind: 'started'; readonly becomePid: number | undefined; readonly rest: Buffer };

/** Reads standard error up to the point where the command's own begins. Start-up noise of the shell and sudo is not output. */
export class StartScanner {
  private pending: Buffer = Buffer.alloc(0);
  private loggedIn = false;

  constructor(private readonly command: WrappedCommand) {}

  feed(chunk: Buffer): StartEvent[] {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    const events: StartEvent[] = [];
    if (this.pending.includes(`\n${this.command.nonce}-directory\n`)) return [{ kind: 'no-directory' }];
    if (!this.loggedIn) {
      const login = this.takeAnnouncement('login');
      if (login !== undefined) {
        this.loggedIn = true;
        events.push({ kind: 'login', pid: login });
      }
    }
    if (this.loggedIn) events.push(...this.scanAfterLogin());
    if (this.pending.length > MAX_PENDING_BYTES) this.pending = this.pending.subarray(-KEPT_PENDING_BYTES);
    return events;
  }

  /** What the shell and sudo said before the command began, for an error message. */
  startText(): string {
    const lines = this.pending.toString('utf8').split('\n');
    const own = lines.filter((line) => line !== '' && !line.includes(this.command.nonce));
    return own.join('\n').slice(-START_TEXT_CHARACTERS);
  }

  private scanAfterLogin(): StartEvent[] {
    const { becomes, prompt } = this.command;
    if (!becomes) {
      return [{ kind: 'started', becomePid: undefined, rest: this.takePending() }];
    }
    const becomePid = this.takeAnnouncement('become');
    if (becomePid !== undefined) return [{ kind: 'started', becomePid, rest: this.takePending() }];
    const at = prompt === undefined ? -1 : this.pending.indexOf(prompt);
    if (prompt === undefined || at < 0) return [];
    const after = this.pending.subarray(at + Buffer.byteLength(prompt));
    this.pending = Buffer.concat([this.pending.subarray(0, at), after]);
    return [{ kind: 'prompt' }];
  }

  /** Finds a whole line `NONCE-what PID` and takes it, and all before it, from what is pending. */
  private takeAnnouncement(what: 'login' | 'become'): number | undefined {
    const start = `\n${this.command.nonce}-${what} `;
    for (let at = this.pending.indexOf(start); at >= 0; at = this.pending.indexOf(start, at + 1)) {
      const end = this.pending.indexOf(10, at + start.length);
      if (end < 0) return undefined;
      const pid = this.pending.toString('latin1', at + start.length, end);
      if (!/^\d{1,10}$/.test(pid)) continue;
      this.pending = this.pending.subarray(end + 1);
      return Number(pid);
    }
    return undefined;
  }

  private takePending(): Buffer {
    const rest = this.pending;
    this.pending = Buffer.alloc(0);
    return rest;
  }
}
