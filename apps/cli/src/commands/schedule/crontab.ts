/** What a line of a crontab is. Every line of the file becomes one of these: nothing is dropped. */
export type CrontabLine =
  | { readonly kind: 'blank'; readonly line: number; readonly text: string }
  | { readonly kind: 'comment'; readonly line: number; readonly text: string }
  | {
      readonly kind: 'environment';
      readonly line: number;
      readonly text: string;
      readonly name: string;
      readonly value: string;
    }
  | { readonly kind: 'job'; readonly line: number; readonly text: string; readonly job: CrontabJob }
  | { readonly kind: 'unreadable'; readonly line: number; readonly text: string; readonly reason: string };

export interface CrontabJob {
  /** Five fields, or `@daily` and its like. */
  readonly when: string;
  /** From the system form; null in the user form. */
  readonly user: string | null;
  /** `%` taken out. */
  readonly command: string;
  /** What came after the first `%`, its other ones made line ends; null where there is none. */
  readonly standardInput: string | null;
  /** The line began with `-` (do not log), as some implementations have it. */
  readonly isQuiet: boolean;
}

/** Name and value, either in quotes, blanks around them and the `=` (crontab(5)); it begins with no digit, `*` or `@`. */
const ENVIRONMENT = /^("[^"]*"|'[^']*'|[A-Za-z_][^\s=]*)\s*=\s*(.*)$/;
const MAX_LINES = 20_000;

/**
 * Reads a crontab in its user form, or in the system form (`/etc/crontab`, `/etc/cron.d`) whose jobs name a user before the command.
 */
export function parseCrontab(source: string, isSystem: boolean): CrontabLine[] {
  const lines = source.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines
    .slice(0, MAX_LINES)
    .map((text, index) => parseLine(text, index + 1, isSystem))
    .concat(tooMany(lines));
}

function tooMany(lines: readonly string[]): CrontabLine[] {
  if (lines.length <= MAX_LINES) return [];
  const reason = `the file has ${lines.length} lines; at most ${MAX_LINES} are read`;
  return [{ kind: 'unreadable', line: MAX_LINES + 1, text: '(this line and all after it)', reason }];
}

function parseLine(text: string, line: number, isSystem: boolean): CrontabLine {
  const trimmed = text.trim();
  if (trimmed === '') return { kind: 'blank', line, text };
  if (trimmed.startsWith('#')) return { kind: 'comment', line, text };
  const variable = ENVIRONMENT.exec(trimmed);
  if (variable) {
    const [, name = '', value = ''] = variable;
    return { kind: 'environment', line, text, name: unquoted(name), value: unquoted(value) };
  }
  return parseJob(trimmed, line, text, isSystem);
}

function parseJob(trimmed: string, line: number, text: string, isSystem: boolean): CrontabLine {
  const isQuiet = trimmed.startsWith('-');
  const fields = trimmed.startsWith('@', isQuiet ? 1 : 0) ? 1 : 5;
  const pattern = new RegExp(`^((?:\\S+\\s+){${fields - 1}}\\S+)\\s+${isSystem ? '(\\S+)\\s+' : '()'}(\\S.*)$`);
  const match = pattern.exec(isQuiet ? trimmed.slice(1) : trimmed);
  if (!match) {
    const form = isSystem
      ? 'five fields (or one @name), a user and a command'
      : 'five fields (or one @name) and a command';
    return { kind: 'unreadable', line, text, reason: `it is neither a variable nor ${form}` };
  }
  const [, when = '', user = '', rest = ''] = match;
  const { command, standardInput } = splitPercent(rest);
  if (command.trim() === '')
    return { kind: 'unreadable', line, text, reason: 'it has no command before its first "%"' };
  const job = { when: when.replace(/\s+/g, ' '), user: isSystem ? user : null, command, standardInput, isQuiet };
  return { kind: 'job', line, text, job };
}

function unquoted(text: string): string {
  const match = /^(["'])(.*)\1$/.exec(text);
  return match ? (match[2] ?? '') : text;
}

/** The first `%` ends the command, what follows is its standard input, further ones are line ends; `\%` is a `%` (crontab(5)). */
function splitPercent(text: string): { command: string; standardInput: string | null } {
  const parts: string[] = [''];
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? '';
    if (character === '\\' && text[index + 1] === '%') {
      parts.push(`${parts.pop() ?? ''}%`);
      index += 1;
    } else if (character === '%') parts.push('');
    else parts.push(`${parts.pop() ?? ''}${character}`);
  }
  const [command = '', ...input] = parts;
  return { command, standardInput: input.length === 0 ? null : `${input.join('\n')}\n` };
}
