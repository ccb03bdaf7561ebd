import { createHash, randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { sshError } from './errors.js';
import type { ExecRequest, ExecResult, RestoreFileRequest, RestoreFileResult, SshEndpoint } from './types.js';

const MAX_MESSAGE_BYTES = 4 * 1024;

/** Where what stood at a path is kept: beside it, so that it can be linked, under a name that nobody can guess. */
export function keptPath(path: string, token: string): string {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
  return posix.join(posix.dirname(path), `.fettle-former-${digest(path).slice(0, 8)}-${digest(token).slice(0, 32)}`);
}

/**
 * Plain POSIX sh. Arguments: path, kept path, sha256 of what was put, temporary path. Says one word on standard output. What is kept
 * stays, so that a second call finds what the first one found: nobody may know how that one ended.
 */
const RESTORE_SCRIPT = String.raw`
path=$1 kept=$2 sum=$3 temporary=$4
umask 077
refuse() { echo "$1" >&2; exit 1; }
digest() { set -- $(sha256sum <"$1") && found=$1; }
if [ -e "$kept" ] || [ -L "$kept" ]; then had=file
elif [ -e "$kept.absent" ]; then had=none
else echo nothing; exit 0
fi
found=
if [ -f "$path" ] && [ ! -L "$path" ]; then digest "$path" || refuse "$path cannot be read"; fi
if [ "$found" != "$sum" ]; then
  now=$found
  if [ "$had" = none ]; then
    if [ ! -e "$path" ] && [ ! -L "$path" ]; then echo removed; exit 0; fi
  elif [ -L "$kept" ]; then
    if [ -L "$path" ] && [ "$(readlink -- "$path")" = "$(readlink -- "$kept")" ]; then echo restored; exit 0; fi
  elif [ -n "$now" ]; then
    digest "$kept" || refuse "what was kept cannot be read"
    if [ "$found" = "$now" ]; then echo restored; exit 0; fi
  fi
  refuse "it was changed by somebody else since, and is left as it is"
fi
if [ "$had" = none ]; then
  rm -f -- "$path" || exit 1
  echo removed
  exit 0
fi
trap 'rm -f -- "$temporary"' EXIT
trap 'exit 1' HUP INT TERM PIPE
ln -- "$kept" "$temporary" 2>/dev/null || cp -pP -- "$kept" "$temporary" || exit 1
mv -f -- "$temporary" "$path" || exit 1
echo restored
`;

/**
 * Puts back what stood at a path before `putFile` with `keepAs`, with its mode and owner, or removes what was put where nothing stood.
 * Safe to repeat. What somebody else changed since is not written over.
 * @throws FettleError `file-restore-failed` with `mayHaveStarted: false` where the file is as it was, and the errors of `exec`
 */
export async function restoreFile(
  execute: (request: ExecRequest) => Promise<ExecResult>,
  endpoint: SshEndpoint,
  request: RestoreFileRequest,
): Promise<RestoreFileResult> {
  const { path, keptAs, put, become, timeoutMs, signal } = request;
  if (!path.startsWith('/') || path.endsWith('/') || posix.normalize(path) !== path) {
    const what = `${JSON.stringify(path.slice(0, 200))} is no absolute path of a file`;
    const remedy = 'Give a path such as /etc/motd.';
    throw sshError(endpoint, { code: 'invalid-argument', what, remedy, mayHaveStarted: false });
  }
  const said: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' };
  const temporary = posix.join(posix.dirname(path), `.fettle-${randomBytes(12).toString('hex')}`);
  const result = await execute({
    argv: ['/bin/sh', '-c', RESTORE_SCRIPT, 'fettle', path, keptPath(path, keptAs), put, temporary],
    become,
    timeoutMs,
    signal,
    maxOutputBytes: MAX_MESSAGE_BYTES,
    onOutput: (stream, chunk) => void (said[stream] += chunk.toString('utf8')),
  });
  const word = said.stdout.trim();
  if ('exitCode' in result && result.exitCode === 0 && isResult(word)) return word;
  const end = 'exitCode' in result ? `exit code ${result.exitCode}` : `signal ${result.signal}`;
  throw sshError(endpoint, {
    code: 'file-restore-failed',
    what: `${path} was not put back: ${said.stderr.trim() || end}`,
    remedy: 'Look at the file on the host, then decide by hand.',
    mayHaveStarted: !('exitCode' in result),
  });
}

function isResult(word: string): word is RestoreFileResult {
  return word === 'restored' || word === 'removed' || word === 'nothing';
}
