import { FettleError } from '@fettle/contracts';

/**
 * The one place where a value becomes part of a shell line (SSH's `exec` request carries a line, RFC 4254 section 6.5).
 * POSIX single quotes keep every byte but NUL as it is; a single quote leaves the quotes, is escaped and enters them again
 * (POSIX.1-2017, Shell Command Language, 2.2.2).
 * @throws FettleError `invalid-argument` for a NUL character, which no argument of a program can hold
 */
export function quoteArgument(value: string): string {
  if (value.includes('\0')) {
    throw new FettleError({
      code: 'invalid-argument',
      message: 'an argument, variable or path holds a NUL character, which no program can receive',
      remedy: 'Pass binary data through stdin instead.',
      detail: { mayHaveStarted: false },
    });
  }
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

/** Quotes each argument and joins them with a space: the shell gives back exactly `argv`. */
export function quoteArgv(argv: readonly string[]): string {
  return argv.map(quoteArgument).join(' ');
}
