import { latin1FromBytes, type ExecResult, type ResolvedCommandContext } from 'just-bash';
import type { Shell } from '../shell.js';

/** A command of the demo hosts, bound to the shell that calls it. */
export type DemoCommand = (args: string[], context: ResolvedCommandContext, shell: Shell) => Promise<ExecResult>;

export const done = (exitCode: number, stdout = '', stderr = ''): ExecResult => ({ stdout, stderr, exitCode });

/** What a command gets on stdin, one character a byte. */
export const stdinBytes = (context: ResolvedCommandContext): string => latin1FromBytes(context.stdin);

/** Only what a program may inherit: no positional parameters. */
export function variablesOf(env: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(env ?? {}).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)));
}
