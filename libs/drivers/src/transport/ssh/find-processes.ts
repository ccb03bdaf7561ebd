import type { Execute } from './put-file.js';
import type { Become } from './types.js';

export interface FindProcessesRequest {
  /** Effect token: commands have it in their environment. */
  readonly token: string;
  /** As whom the command ran: the environments of others cannot be read. */
  readonly become?: Become | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Linux shows the environment that a process began with in /proc (proc(5)); grep says 0 for one, 1 for none, 2 where it could not read some. */
const FIND_SCRIPT = String.raw`
token=$1
[ -r /proc/self/environ ] && command -v grep >/dev/null || { echo unsure; exit 0; }
found=$(grep -lsaF -- "FETTLE_EFFECT_TOKEN=$token" /proc/[0-9]*/environ 2>/dev/null)
[ -z "$found" ] && echo none || echo some
`;

/**
 * Whether a command that was given this token, or anything that it began, is at work on the host: `unsure` where the system does
 * not tell. Processes that became another user, or threw their environment away, are not seen.
 * @throws FettleError as `exec`
 */
export async function findProcesses(
  execute: Execute,
  { token, become, timeoutMs, signal }: FindProcessesRequest,
): Promise<'none' | 'some' | 'unsure'> {
  const said: Buffer[] = [];
  const result = await execute({
    argv: ['/bin/sh', '-c', FIND_SCRIPT, 'fettle', token],
    become,
    timeoutMs,
    signal,
    onOutput: (stream, chunk) => void (stream === 'stdout' && said.push(chunk)),
    maxOutputBytes: 1024,
  });
  const answer = Buffer.concat(said).toString('latin1').trim();
  const isSure = 'exitCode' in result && result.exitCode === 0 && (answer === 'none' || answer === 'some');
  return isSure ? answer : 'unsure';
}
