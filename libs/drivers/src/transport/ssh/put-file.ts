import { createHash, randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { FettleError } from '@fettle/contracts';
import { mayHaveStarted, sshError } from './errors.js';
import { keptPath } from './restore-file.js';
import type { ExecRequest, ExecResult, PutFileRequest, PutFileResult, SshEndpoint } from './types.js';

export type Execute = (request: ExecRequest) => Promise<ExecResult>;

const MAX_MESSAGE_BYTES = 4 * 1024;
const CLEAN_UP_TIMEOUT_MS = 10_000;

/**
 * Plain POSIX sh, beside sha256sum, stat -c, cat, chmod, chown, mv and rm. Arguments: path, temporary path, sha256, mode, owner,
 * group. Says on standard output one word a line: `unchanged`; or `send`, upon which the content comes on standard input, and
 * then `done`. Anything else is a refusal, with its reason on standard error.
 *
 * The temporary file lies beside the path, so that the rename is atomic (POSIX rename); nobody but its owner can read it before
 * it has its final mode. `set -C` refuses a file that somebody else put there. chown comes before chmod, which it would undo in
 * part. A connection that breaks looks like the end of the content: the digest finds it.
 *
 * What stood at the path is kept under another name where that is asked for: a link where links may be made, a copy otherwise, or
 * a mark that nothing was there; the five latest of a path.
 */
const PUT_SCRIPT = String.raw`
path=$1 temporary=$2 sum=$3 mode=$4 owner=$5 group=$6 kept=$7
umask 077
refuse() { echo "$1" >&2; exit 1; }
digest() { set -- $(sha256sum <"$1") && found=$1; }
directory=$(dirname -- "$path") || exit 1
[ -d "$directory" ] || refuse "the directory $directory does not exist"
if [ -e "$path" ] && [ ! -f "$path" ]; then refuse "$path is not a regular file"; fi
if [ -n "$kept" ] && [ ! -e "$kept" ] && [ ! -L "$kept" ] && [ ! -e "$kept.absent" ]; then
  if [ -e "$path" ] || [ -L "$path" ]; then
    ln -- "$path" "$kept" 2>/dev/null ||
      { cp -pP -- "$path" "$temporary" && mv -f -- "$temporary" "$kept"; } ||
      { rm -f -- "$temporary"; refuse "what stands there could not be kept"; }
  else
    true >"$kept.absent" || refuse "no file can be made in $directory"
  fi
  (
    cd -- "$directory" && name=\${kept##*/} &&
      ls -1tcd -- "\${name%-*}"-* | sed '1,5d' | while IFS= read -r old; do rm -f -- "$old"; done
  ) 2>/dev/null || :
fi
if [ -f "$path" ] && [ ! -L "$path" ] && [ -r "$path" ]; then
  set -- $(stat -c '%a %U %G' -- "$path")
  if [ "$1" = "$mode" ] && [ "\${owner:-$2}" = "$2" ] && [ "\${group:-$3}" = "$3" ]; then
    digest "$path" || refuse "sha256sum failed"
    if [ "$found" = "$sum" ]; then echo unchanged; exit 0; fi
  fi
fi
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM PIPE
set -C
true >"$temporary" || refuse "no file can be made in $directory"
set +C
echo send
cat >"$temporary" || refuse "the content could not be written"
digest "$temporary" || refuse "sha256sum failed"
[ "$found" = "$sum" ] || refuse "the content did not arrive whole"
if [ -n "$owner$group" ]; then chown -- "$owner\${group:+:$group}" "$temporary" || exit 1; fi
chmod -- "$mode" "$temporary" || exit 1
mv -f -- "$temporary" "$path" || exit 1
echo done
`.replaceAll('\\$', '$');

function invalid(endpoint: SshEndpoint, what: string, remedy: string): never {
  throw sshError(endpoint, { code: 'invalid-argument', what, remedy, mayHaveStarted: false });
}

function checkRequest(endpoint: SshEndpoint, request: PutFileRequest): void {
  const { path, mode } = request;
  if (!path.startsWith('/') || path.endsWith('/') || posix.normalize(path) !== path) {
    invalid(
      endpoint,
      `${JSON.stringify(path.slice(0, 200))} is no absolute path of a file`,
      'Give a path such as /etc/motd.',
    );
  }
  if (!/^[0-7]{3,4}$/.test(mode)) {
    invalid(
      endpoint,
      `${JSON.stringify(mode.slice(0, 20))} is no file mode`,
      'Give three or four octal digits, e.g. "0644".',
    );
  }
  for (const name of [request.owner, request.group]) {
    if (name !== undefined && !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$/.test(name)) {
      invalid(
        endpoint,
        `${JSON.stringify(name.slice(0, 60))} is no name of a user or group`,
        'Give a name, e.g. "root".',
      );
    }
  }
}

/** Standard output of the script as words, and standard error for a message. */
class Dialogue {
  readonly words: string[] = [];
  private line = '';
  private readonly said: Buffer[] = [];
  private wakeUp: () => void = () => undefined;
  private readonly ready = new Promise<void>((resolve) => (this.wakeUp = resolve));

  readonly take = (stream: 'stdout' | 'stderr', chunk: Buffer): void => {
    if (stream === 'stderr') {
      this.said.push(chunk);
      return;
    }
    const lines = (this.line + chunk.toString('latin1')).split('\n');
    this.line = lines.pop() ?? '';
    this.words.push(...lines);
    if (this.words.includes('send')) this.wakeUp();
  };

  get message(): string {
    return Buffer.concat(this.said).toString('utf8').trim();
  }

  /** Ends a wait for `send` that will not come. */
  over(): void {
    this.wakeUp();
  }

  async *content(content: Buffer): AsyncGenerator<Buffer> {
    await this.ready;
    if (this.words.includes('send')) yield content;
  }
}

/**
 * Puts a file in place: nothing is written where content, mode and the given owner and group are as wanted. Otherwise the content
 * goes to a file beside it, is verified and renamed. A symbolic link at the path is replaced, not followed.
 * @throws FettleError `file-put-failed` with `mayHaveStarted: false` where the file is as it was, and the errors of `exec`
 */
export async function putFile(
  execute: Execute,
  endpoint: SshEndpoint,
  request: PutFileRequest,
): Promise<PutFileResult> {
  checkRequest(endpoint, request);
  const sha256 = createHash('sha256').update(request.content).digest('hex');
  const temporary = posix.join(posix.dirname(request.path), `.fettle-${randomBytes(12).toString('hex')}`);
  // stat shows a mode without leading zeros.
  const mode = request.mode.replace(/^0+(?=.)/, '');
  const dialogue = new Dialogue();
  const kept = request.keepAs === undefined ? '' : keptPath(request.path, request.keepAs);
  const values = [request.path, temporary, sha256, mode, request.owner ?? '', request.group ?? '', kept];
  const common = { become: request.become, maxOutputBytes: MAX_MESSAGE_BYTES };
  let result: ExecResult;
  try {
    result = await execute({
      ...common,
      argv: ['/bin/sh', '-c', PUT_SCRIPT, 'fettle', ...values],
      stdin: dialogue.content(request.content),
      timeoutMs: request.timeoutMs,
      signal: request.signal,
      onOutput: dialogue.take,
    });
  } catch (error) {
    // The script cleans up by itself unless it was killed; this covers that, as far as the host can be reached.
    if (mayHaveStarted(error)) await cleanUp(execute, temporary, common);
    throw error;
  } finally {
    dialogue.over();
  }
  if ('exitCode' in result && result.exitCode === 0) {
    if (dialogue.words.includes('unchanged')) return { changed: false, sha256 };
    if (dialogue.words.includes('done')) return { changed: true, sha256 };
  }
  if (!('exitCode' in result)) await cleanUp(execute, temporary, common);
  throw refused(endpoint, request, result, dialogue.message);
}

function refused(endpoint: SshEndpoint, request: PutFileRequest, result: ExecResult, message: string): FettleError {
  const end = 'exitCode' in result ? `exit code ${result.exitCode}` : `signal ${result.signal}`;
  return sshError(endpoint, {
    code: 'file-put-failed',
    what: `${request.path} was not written: ${message || end}`,
    remedy: 'Check the path, the rights of the user on the host, and free space there.',
    // A signal may have come after the rename.
    mayHaveStarted: !('exitCode' in result),
  });
}

async function cleanUp(
  execute: Execute,
  temporary: string,
  common: Pick<ExecRequest, 'become' | 'maxOutputBytes'>,
): Promise<void> {
  await execute({
    ...common,
    argv: ['rm', '-f', '--', temporary],
    timeoutMs: CLEAN_UP_TIMEOUT_MS,
    signal: AbortSignal.timeout(CLEAN_UP_TIMEOUT_MS),
    onOutput: () => undefined,
  }).catch(() => undefined);
}
