import { randomUUID } from 'node:crypto';
import { quoteArgument } from './quote.js';
import type { ExecRequest } from './types.js';

type Command = Pick<ExecRequest, 'argv' | 'stdin'>;

/**
 * The command with variables that stand in no command line, neither for the user nor under sudo: a shell takes them from
 * standard input, up to a line that nobody can foresee, and becomes the command, which gets the rest. POSIX lets `read` take no
 * more of its input than the line. An input that ends early runs nothing.
 */
export function withSecretEnvironment(command: Command, variables: Readonly<Record<string, string>>): Command {
  const entries = Object.entries(variables);
  if (entries.length === 0) return command;
  const end = `fettle-${randomUUID()}-end`;
  const text = entries.map(([name, value]) => `export ${name}=${quoteArgument(value)}`).join('\n');
  const script = [
    'fettle_text=',
    'while IFS= read -r fettle_line; do',
    `  case $fettle_line in ${end}) break ;; esac`,
    '  fettle_text="$fettle_text$fettle_line',
    '"',
    'done',
    `case $fettle_line in ${end}) ;; *) exit 125 ;; esac`,
    'eval "$fettle_text"',
    'unset fettle_text fettle_line',
    'exec "$@"',
  ].join('\n');
  const preamble = Buffer.from(`${text}\n${end}\n`);
  return {
    argv: ['/bin/sh', '-c', script, 'fettle', ...command.argv],
    stdin: before(preamble, command.stdin),
  };
}

function before(preamble: Buffer, stdin: ExecRequest['stdin']): NonNullable<ExecRequest['stdin']> {
  if (stdin === undefined) return preamble;
  return Buffer.isBuffer(stdin) ? Buffer.concat([preamble, stdin]) : both(preamble, stdin);
}

async function* both(preamble: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield preamble;
  yield* rest;
}
