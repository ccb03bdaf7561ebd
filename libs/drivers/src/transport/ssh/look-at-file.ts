import type { Execute } from './put-file.js';
import type { Become, SshEndpoint } from './types.js';
import { sshError } from './errors.js';

/** What is to be looked at. */
export interface LookAtFileRequest {
  /** Absolute. */
  readonly path: string;
  /** Content up to this size is read, too; 0: none is. */
  readonly maxContentBytes: number;
  readonly become?: Become | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What lies at a path. */
export type FileLook =
  | { readonly kind: 'missing' }
  /** Its folder is not there, or whoever looks may not enter it. */
  | { readonly kind: 'no-directory' }
  | { readonly kind: 'symbolic-link' }
  | { readonly kind: 'not-a-file' }
  /** There, and whoever looks may not read it. */
  | { readonly kind: 'unreadable' }
  | {
      readonly kind: 'file';
      /** Octal without leading zeros, as stat shows it. */
      readonly mode: string;
      readonly owner: string;
      readonly group: string;
      readonly sizeBytes: number;
      /** Hexadecimal. */
      readonly sha256: string;
      /** Null: larger than what was asked for. */
      readonly content: Buffer | null;
    };

/**
 * Plain POSIX sh, beside stat -c, sha256sum and cat. Arguments: path, most bytes of content. Says one line on standard output, and
 * after a line that begins with `file` the content where it is small enough. It opens files for reading only, and runs nothing else.
 */
const LOOK_SCRIPT = String.raw`
path=$1 limit=$2
say() { echo "$1"; exit 0; }
directory=$(dirname -- "$path") || exit 1
(cd -- "$directory") 2>/dev/null || say no-directory
[ ! -L "$path" ] || say symbolic-link
[ -e "$path" ] || say missing
[ -f "$path" ] || say not-a-file
[ -r "$path" ] || say unreadable
about=$(stat -c '%a %U %G %s' -- "$path") || exit 1
size=\${about##* }
sum=$(sha256sum <"$path") || exit 1
echo "file $about \${sum%% *}"
[ "$size" -gt "$limit" ] || cat -- "$path"
`.replaceAll('\\$', '$');

const HEAD_BYTES = 1024;

/**
 * Says what lies at a path, and changes nothing.
 * @throws FettleError `file-look-failed`, and the errors of `exec`
 */
export async function lookAtFile(
  execute: Execute,
  endpoint: SshEndpoint,
  request: LookAtFileRequest,
): Promise<FileLook> {
  const { path, maxContentBytes, become, timeoutMs, signal } = request;
  const said: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  const result = await execute({
    argv: ['/bin/sh', '-c', LOOK_SCRIPT, 'fettle', path, String(maxContentBytes)],
    become,
    timeoutMs,
    signal,
    onOutput: (stream, chunk) => void said[stream].push(chunk),
    maxOutputBytes: maxContentBytes + 2 * HEAD_BYTES,
  });
  const output = Buffer.concat(said.stdout);
  const lineEnd = output.indexOf('\n');
  if ('exitCode' in result && result.exitCode === 0 && lineEnd >= 0) {
    const found = readLook(output.subarray(0, lineEnd).toString('latin1'), output.subarray(lineEnd + 1));
    if (found !== null) return found;
  }
  const reason = Buffer.concat(said.stderr).toString('utf8').trim().slice(0, HEAD_BYTES);
  throw sshError(endpoint, {
    code: 'file-look-failed',
    what: `${path} could not be looked at: ${reason || 'the host gave no answer'}`,
    remedy: 'Check that stat and sha256sum are there.',
    mayHaveStarted: true,
  });
}

function readLook(line: string, rest: Buffer): FileLook | null {
  const [kind, mode, owner, group, size, sha256] = line.split(' ');
  switch (kind) {
    case 'missing':
    case 'no-directory':
    case 'symbolic-link':
    case 'not-a-file':
    case 'unreadable':
      return { kind };
    case 'file': {
      if (mode === undefined || owner === undefined || group === undefined || sha256 === undefined) return null;
      const sizeBytes = Number(size);
      return { kind, mode, owner, group, sizeBytes, sha256, content: rest.length === sizeBytes ? rest : null };
    }
    default:
      return null;
  }
}
