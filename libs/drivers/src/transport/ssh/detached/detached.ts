import { Buffer } from 'node:buffer';
import { createHash, randomUUID } from 'node:crypto';
import type { FettleError } from '@fettle/contracts';
import { sshError } from '../errors.js';
import type { Become, ExecRequest, ExecResult, SshEndpoint } from '../types.js';
import { exportVariables, wrapCommand } from '../wrapper.js';
import { ARREST_SCRIPT, LOOK_SCRIPT, RELEASE_SCRIPT, START_SCRIPT } from './ask.js';
import { BECOME_SCRIPT, KILL_DETACHED_SCRIPT, LEAD_SCRIPT } from './lead.js';
import { StateScanner } from './state-scanner.js';

/** Of each stream of a detached command the host keeps the first bytes and the last ones; what lies between is only counted. */
export const DETACHED_HEAD_BYTES = 1_048_576;
export const DETACHED_TAIL_BYTES = 524_288;
/** What a session may take beside the time that it follows a command. */
const SESSION_MARGIN_MS = 45_000;
const FAST_TICKS = 5;
const KILL_GRACE_MS = 2_000;

/** Runs one command on the host over a session, as `SshPool.exec` does. */
export type RunOnHost = (request: ExecRequest) => Promise<ExecResult>;

/** Which detached command, and who asks. */
export interface DetachedIdentity {
  /** Names the folder of the command on the host: 32 hexadecimal digits. */
  readonly token: string;
  /** Rises with each claim of the attempt: the host refuses whoever comes with a smaller one than it has seen. */
  readonly fence: number;
}

export interface DetachedRequest extends DetachedIdentity {
  readonly argv: readonly string[];
  readonly stdin?: Buffer | undefined;
  /** Through standard input only: never in a process list. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  readonly become?: Become | undefined;
  /** The host ends the command after this, rounded up to seconds, whoever is connected. */
  readonly timeoutMs: number;
  /** 0: asked for the first time. Else since *started* was journaled: an absent folder then must not mean that it never was. */
  readonly elapsedMs: number;
  /** Bytes of each stream that were taken before. */
  readonly consumed: Readonly<Record<'stdout' | 'stderr', number>>;
  /** How long to stay with a command that runs. */
  readonly followMs: number;
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void | Promise<void>;
  readonly signal: AbortSignal;
}

export type DetachedState =
  | {
      readonly kind: 'ended';
      readonly exitCode: number;
      readonly isTimeout: boolean;
      /** A process that the command left behind kept its output open. */
      readonly leftBehind: boolean;
      /** Between the first bytes of a stream and the last. */
      readonly droppedBytes: number;
    }
  | { readonly kind: 'running'; readonly ageMs: number }
  /** The host cannot detach a command (no Linux); the claim is made, and whoever asked may run it attached, once. */
  | { readonly kind: 'attach' }
  /** It can no longer be known how it ended. */
  | { readonly kind: 'lost'; readonly reason: 'restarted' | 'gone' | 'vanished' | 'attached' }
  /** Cancelled before it began; it never will. */
  | { readonly kind: 'void' };

interface Answer {
  readonly words: readonly string[];
  readonly explanation: string;
}

/**
 * Starts the command under its token, or finds it if it was started before, and follows it for a while. It runs at most once,
 * whoever asks and however often.
 * @throws FettleError of the session (after which the command may run on), `stale-request`, `become-failed`,
 *   `working-directory-unavailable`, `detach-impossible` or `invalid-argument`
 */
export async function runDetached(
  run: RunOnHost,
  endpoint: SshEndpoint,
  request: DetachedRequest,
): Promise<DetachedState> {
  const { argv, env, cwd, become } = request;
  // Refuses what no shell line can carry, as for an attached command.
  wrapCommand(endpoint, { argv, env, cwd, become });
  const consumed = { ...request.consumed };
  const counted: DetachedRequest = {
    ...request,
    onOutput: (stream, chunk) => {
      consumed[stream] += chunk.length;
      return request.onOutput(stream, chunk);
    },
  };
  if (consumed.stdout + consumed.stderr === 0) {
    const started = await start(run, endpoint, counted);
    if (started !== 'exists') return started;
  }
  return look(run, endpoint, { ...counted, consumed });
}

async function start(
  run: RunOnHost,
  endpoint: SshEndpoint,
  request: DetachedRequest,
): Promise<DetachedState | 'exists'> {
  const nonce = newNonce();
  const { become, stdin, token, fence } = request;
  const becomeUser = become === undefined ? undefined : (become.user ?? 'root');
  const becomes = becomeUser !== undefined && becomeUser !== endpoint.user;
  const password = becomes ? become?.password : undefined;
  const ticks = FAST_TICKS + Math.ceil(Math.max(0, request.followMs - 1_000) / 1_000);
  const elapsedSeconds = request.elapsedMs > 0 ? Math.max(1, Math.ceil(request.elapsedMs / 1_000)) : 0;
  const preamble = `${password === undefined ? '' : `${password}\n`}${exportVariables(request)}\n${nonce}-end\n`;
  const values = [
    ...[
      LEAD_SCRIPT,
      KILL_DETACHED_SCRIPT,
      BECOME_SCRIPT,
      folderOwner(endpoint),
      token,
      nonce,
      fence,
      elapsedSeconds,
      ticks,
    ],
    ...[Math.ceil(request.timeoutMs / 1_000), stdin?.length ?? -1, request.cwd ?? ''],
    ...[becomes ? becomeUser : '', password === undefined ? '' : 'asks'],
  ];
  const answer = await ask(run, endpoint, nonce, {
    argv: ['/bin/sh', '-c', START_SCRIPT, 'fettle', ...values.map(String), ...request.argv],
    stdin: Buffer.concat([Buffer.from(preamble), stdin ?? Buffer.alloc(0)]),
    timeoutMs: request.followMs + SESSION_MARGIN_MS,
    signal: request.signal,
    onOutput: request.onOutput,
  });
  if (answer.words[0] === 'exists') return 'exists';
  if (answer.words[0] === 'attached') return { kind: 'attach' };
  return stateOf(endpoint, answer, request);
}

/** How the command stands now; undefined state `none` counts as an error, since somebody made its folder. */
async function look(run: RunOnHost, endpoint: SshEndpoint, request: DetachedRequest): Promise<DetachedState> {
  const nonce = newNonce();
  const { token, fence, consumed } = request;
  const values = [folderOwner(endpoint), token, nonce, fence, consumed.stdout, consumed.stderr];
  const ticks = Math.ceil(request.followMs / 1_000);
  const answer = await ask(run, endpoint, nonce, {
    argv: ['/bin/sh', '-c', LOOK_SCRIPT, 'fettle', ...[...values, ticks].map(String)],
    timeoutMs: request.followMs + SESSION_MARGIN_MS,
    signal: request.signal,
    onOutput: request.onOutput,
  });
  if (answer.words[0] === 'none') return { kind: 'lost', reason: 'vanished' };
  if (answer.words[0] === 'attached') return { kind: 'lost', reason: 'attached' };
  return stateOf(endpoint, answer, request);
}

/**
 * Ends a detached command for certain, or says that it is not certain: TERM, a grace, KILL, a look. One that has not begun never
 * will. `ended`: it had ended by itself.
 * @throws FettleError of the session, or `stale-request`
 */
export async function stopDetached(
  run: RunOnHost,
  endpoint: SshEndpoint,
  request: DetachedIdentity & { readonly become?: Become | undefined; readonly signal: AbortSignal },
): Promise<'never-began' | 'stopped' | 'ended' | 'left'> {
  const { token, fence, become, signal } = request;
  const nonce = newNonce();
  const session = { timeoutMs: SESSION_MARGIN_MS, signal, onOutput: () => undefined };
  const argv = ['/bin/sh', '-c', ARREST_SCRIPT, 'fettle', folderOwner(endpoint), token, nonce, String(fence)];
  const { words } = await ask(run, endpoint, nonce, { ...session, argv });
  refuseStale(endpoint, words);
  if (words[0] === 'void') return 'never-began';
  if (words[0] === 'ended') return 'ended';
  if (words[0] === 'lost') return 'stopped';
  if (words[0] !== 'stop') return 'left';
  const [, leader = '', home = '', command = '', ...spared] = words;
  const kill = [leader, home, command === '0' ? '' : command, String(KILL_GRACE_MS / 100), spared.join(' ')];
  const said: Buffer[] = [];
  await run({
    ...session,
    argv: ['/bin/sh', '-c', KILL_DETACHED_SCRIPT, 'fettle', ...kill],
    become,
    maxOutputBytes: 1_024,
    onOutput: (stream, chunk) => void (stream === 'stdout' && said.push(chunk)),
  });
  return Buffer.concat(said).toString().trim() === 'gone' ? 'stopped' : 'left';
}

/** Clears the folder of a command whose end stands in the journal. */
export async function releaseDetached(
  run: RunOnHost,
  endpoint: SshEndpoint,
  { token, fence }: DetachedIdentity,
  signal: AbortSignal,
): Promise<void> {
  const nonce = newNonce();
  // Tokens are spread evenly: one in 256 looks for old folders.
  const sweep = token.endsWith('00') ? 'sweep' : '';
  const argv = ['/bin/sh', '-c', RELEASE_SCRIPT, 'fettle', folderOwner(endpoint), token, nonce, String(fence), sweep];
  await ask(run, endpoint, nonce, { argv, timeoutMs: SESSION_MARGIN_MS, signal, onOutput: () => undefined });
}

/** The user's part of the folder's name; an unusual name becomes a digest. */
function folderOwner({ user }: SshEndpoint): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(user)) return user;
  return createHash('sha256').update(user).digest('hex').slice(0, 32);
}

function newNonce(): string {
  return `fettle-${randomUUID()}`;
}

/** Runs a script that ends with its state on standard error, and passes on the output before it. */
async function ask(run: RunOnHost, endpoint: SshEndpoint, nonce: string, request: ExecRequest): Promise<Answer> {
  const scanner = new StateScanner(nonce);
  await run({
    ...request,
    onOutput: (stream, chunk) => {
      const output = stream === 'stdout' ? chunk : scanner.feed(chunk);
      return output.length > 0 ? request.onOutput(stream, output) : undefined;
    },
  });
  const answer = scanner.end();
  if (answer !== undefined) return answer;
  throw sshError(endpoint, {
    code: 'connection-lost',
    what: 'the session of a detached command ended before it said how the command stands',
    remedy: 'Look at the host: the command may run on there.',
    mayHaveStarted: true,
  });
}

function refuseStale(endpoint: SshEndpoint, words: readonly string[]): void {
  if (words[0] !== 'stale') return;
  throw sshError(endpoint, {
    code: 'stale-request',
    what: 'another worker has taken this command over; this request was refused by the host',
    mayHaveStarted: true,
  });
}

function stateOf(endpoint: SshEndpoint, answer: Answer, request: DetachedRequest): DetachedState {
  const { words } = answer;
  const [kind, detail = ''] = words;
  refuseStale(endpoint, words);
  switch (kind) {
    case 'ended':
      return endOf(endpoint, answer, request);
    case 'running':
      return { kind, ageMs: Number(detail) * 1_000 };
    case 'lost':
      return { kind, reason: detail === 'restarted' ? 'restarted' : 'gone' };
    case 'vanished':
      return { kind: 'lost', reason: 'vanished' };
    case 'void':
      return { kind };
    case 'unwritable':
      throw cannotDetach(endpoint, words.slice(1).join(' '));
    case 'incomplete':
      throw sshError(endpoint, {
        code: 'connection-lost',
        what: 'the connection was lost before the command had its input; it did not begin',
        mayHaveStarted: false,
      });
    default:
      throw cannotDetach(endpoint, `the shell that was to run it ended first (${words.join(' ').slice(0, 100)})`);
  }
}

function cannotDetach(endpoint: SshEndpoint, why: string): FettleError {
  const folder = `/var/tmp/fettle-${folderOwner(endpoint)}`;
  return sshError(endpoint, {
    code: 'detach-impossible',
    what: `no detached command can be started: ${folder} cannot be used: ${why}`,
    remedy: `Let ${endpoint.user} make files in ${folder} on the host (mode 0700, its own), or set "detached: false" in the step.`,
    mayHaveStarted: false,
  });
}

/** Words: `ended CODE HOW LEFT DROPPED`. */
function endOf(endpoint: SshEndpoint, { words, explanation }: Answer, request: DetachedRequest): DetachedState {
  const [, code, how, left, dropped] = words;
  if (how === 'refused') {
    throw sshError(endpoint, {
      code: request.become === undefined ? 'remote-shell-unusable' : 'become-failed',
      what:
        request.become === undefined
          ? `the user's shell did not run the command: ${explanation || 'it said nothing'}`
          : `sudo did not let the command through: ${explanation || 'it said nothing'}`,
      remedy: 'Check the sudo rules of the user on the host and the password of the become credential.',
      mayHaveStarted: false,
    });
  }
  if (how === 'directory') {
    throw sshError(endpoint, {
      code: 'working-directory-unavailable',
      what: `the working directory cannot be entered: ${explanation}`,
      remedy: 'Check that the directory exists on the host and that the user may enter it.',
      mayHaveStarted: false,
    });
  }
  return {
    kind: 'ended',
    exitCode: Number(code),
    isTimeout: how === 'timeout',
    leftBehind: left === 'left',
    droppedBytes: Number(dropped ?? 0),
  };
}
