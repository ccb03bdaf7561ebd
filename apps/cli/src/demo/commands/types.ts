import { latin1FromBytes, type ExecResult, type ResolvedCommandContext } from 'just-bash';
import type { Shell } from '../shell.js';

/** A command of the demo hosts, bound to the shell that calls it. */
export type DemoCommand = (args: string[], context: ResolvedCommandContext, shell: Shell) => Promise<ExecResult>;

export const done = (exitCode: number, stdout = '', stderr = ''): ExecResult => ({ stdout, stderr, exitCode });

/** What a command gets on stdin, one character a byte. */
export const stdinBytes = (context: ResolvedCommandContext): string => latin1FromBytes(context.stdin);
