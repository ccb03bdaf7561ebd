/** A secret that a command line itself has: what comes before it, and the value. */
export interface InlineSecret {
  /** For a person: `PGPASSWORD`, `--password`, `-p`. */
  readonly name: string;
  readonly prefix: string;
  readonly value: string;
}

const SECRET = /pass(word|wd|phrase)?|secret|token|api[_-]?key|credential/i;
/** What says where a secret is, or that somebody is asked for it. */
const ABOUT_SECRET = /(file|path|dir|stdin|prompt|env|cmd|command|name|id|length)$/i;
const VALUE = String.raw`("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;&|()]+)`;
/** Where a word of a shell's line begins. */
const WORD = '(?<![^\\s;&|(){}`])';
/** `NAME=value`. */
const ASSIGNMENT = new RegExp(`${WORD}(([A-Za-z_][A-Za-z0-9_]*)=)${VALUE}`, 'g');
/** `--password=value`, and with a blank, where it may be something else. */
const OPTION = new RegExp(`${WORD}((--?[A-Za-z][A-Za-z0-9_-]*)=)${VALUE}`, 'g');
const SPACED_OPTION = new RegExp(`${WORD}(--[A-Za-z][A-Za-z0-9_-]*)\\s+(?!-)${VALUE}`, 'g');
/** `-pvalue` of the programs of MySQL and MariaDB; elsewhere `-p` is a port, parents or a path. */
const MYSQL = new RegExp(`\\b(?:mysql|mariadb)[a-z-]*\\b[^;&|]*?\\s(-p)${VALUE}`, 'g');
/** `-u user:value` of curl and wget. */
const USER = /\b(?:curl|wget)\b[^;&|]*?\s((?:-u|--user)[ =]?["']?[^\s:"']+:)([^\s"';&|]+)/g;
/** `scheme://user:value@host`. */
const ADDRESS = /([a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*:)([^\s/@"']+)@/gi;

export function looksSecretName(name: string): boolean {
  return SECRET.test(name) && !ABOUT_SECRET.test(name);
}

/** Secrets in a line; where the shell reads them from elsewhere, or it names a file of them, there is none in it. */
export function inlineSecrets(command: string): InlineSecret[] {
  const named = [ASSIGNMENT, OPTION].flatMap((pattern) =>
    [...command.matchAll(pattern)]
      .filter(([, , name = '']) => looksSecretName(name))
      .map(([, prefix = '', name = '', value = '']) => ({ name, prefix, value })),
  );
  const placed = [MYSQL, USER, ADDRESS].flatMap((pattern) =>
    [...command.matchAll(pattern)].map(([, prefix = '', value = '']) => ({
      name: pattern === ADDRESS ? 'the user in an address' : prefix.trim().replace(/[ =].*$/, ''),
      prefix,
      value,
    })),
  );
  return [...named, ...placed].filter(({ value }) => !/^("?[$`]|""$|''$)/.test(value));
}

/** Options after which a secret may stand, or something else. */
export function doubtfulSecrets(command: string): string[] {
  const found = [...command.matchAll(SPACED_OPTION)]
    .filter(([, name = '', value = '']) => looksSecretName(name) && !/^("?[$`]|[<>&|])/.test(value))
    .map(([, name = '']) => name);
  return [...new Set(found)];
}

/** Without the values, as far as the line of the file has them as the command has. */
export function masked(text: string, secrets: readonly InlineSecret[]): string {
  const isWhole = secrets.every(({ prefix, value }) => text.includes(`${prefix}${value}`));
  if (isWhole)
    return secrets.reduce((left, { prefix, value }) => left.replaceAll(`${prefix}${value}`, `${prefix}…`), text);
  // A value with an escaped "%" stands otherwise in the file: then all after the first name is left out.
  const places = secrets.map(({ prefix }) => ({ prefix, at: text.indexOf(prefix) })).filter(({ at }) => at >= 0);
  const [first] = places.sort((one, two) => one.at - two.at);
  return first === undefined ? '…' : `${text.slice(0, first.at + first.prefix.length)}…`;
}
