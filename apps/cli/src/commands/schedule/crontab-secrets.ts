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
/** `--password=value`, and with a blank, where it may be something else: taken for one, as a person can look and a document cannot. */
const OPTION = new RegExp(`${WORD}((--?[A-Za-z][A-Za-z0-9_-]*)=)${VALUE}`, 'g');
const SPACED_OPTION = new RegExp(`${WORD}((--?(?!no-|ask-)[A-Za-z][A-Za-z0-9_-]+)\\s+)(?!-)${VALUE}`, 'g');
/** `-pvalue` of the programs of MySQL and MariaDB; elsewhere `-p` is a port, parents or a path. */
const MYSQL = new RegExp(`\\b(?:mysql|mariadb)[a-z-]*\\b[^;&|]*?\\s(-p)${VALUE}`, 'g');
/** `-p value` of sshpass itself; that of the command after it is a port. */
const SSHPASS = new RegExp(
  `\\bsshpass(?:\\s+-(?:[eVv]+|P\\s*(?:"[^"]*"|'[^']*'|[^\\s"'-]\\S*)))*\\s+(-p\\s*)${VALUE}`,
  'g',
);
/** `-H "Authorization: Bearer value"` of curl and its kin. */
const HEADER =
  /((?:-H\s*|--header[=\s]\s*)["']?([A-Za-z][A-Za-z0-9-]*)\s*:\s*(?:(?:Bearer|Basic|Token|Digest|ApiKey|Negotiate)\s+)?)([^\s"'][^"']*)/gi;
const SECRET_HEADER = /^(?:proxy-)?authorization$|^cookie$/i;
/** `-u user:value` of curl and wget. */
const USER = /\b(?:curl|wget)\b[^;&|]*?\s((?:-u|--user)[ =]?["']?[^\s:"']+:)([^\s"';&|]+)/g;
/** `scheme://user:value@host`. */
const ADDRESS = /([a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*:)([^\s/@"']+)@/gi;

export function looksSecretName(name: string): boolean {
  return SECRET.test(name) && !ABOUT_SECRET.test(name);
}

/** Secrets in a line; where the shell reads them from elsewhere, or it names a file of them, there is none in it. */
export function inlineSecrets(command: string): InlineSecret[] {
  const named = [ASSIGNMENT, OPTION, SPACED_OPTION, HEADER].flatMap((pattern) =>
    [...command.matchAll(pattern)]
      .filter(([, , name = '']) => looksSecretName(name) || (pattern === HEADER && SECRET_HEADER.test(name)))
      .map(([, prefix = '', name = '', value = '']) => ({ name, prefix, value })),
  );
  const placed = [MYSQL, SSHPASS, USER, ADDRESS].flatMap((pattern) =>
    [...command.matchAll(pattern)].map(([, prefix = '', value = '']) => ({
      name: pattern === ADDRESS ? 'the user in an address' : prefix.trim().replace(/[ =].*$/, ''),
      prefix,
      value,
    })),
  );
  return [...named, ...placed].filter(({ value }) => !/^("?[$`]|\d*[<>]|""$|''$)/.test(value));
}

/** Without the values, as far as the line of the file has them as the command has. */
export function masked(text: string, secrets: readonly InlineSecret[]): string {
  const isWhole = secrets.every(({ prefix, value }) => text.includes(`${prefix}${value}`));
  // The longest first: one may lie in another.
  if (isWhole)
    return [...secrets]
      .sort((one, two) => two.value.length - one.value.length)
      .reduce((left, { prefix, value }) => left.replaceAll(`${prefix}${value}`, `${prefix}…`), text);
  // A value with an escaped "%" stands otherwise in the file: then all after the first name is left out.
  const places = secrets.map(({ prefix }) => ({ prefix, at: text.indexOf(prefix) })).filter(({ at }) => at >= 0);
  const [first] = places.sort((one, two) => one.at - two.at);
  return first === undefined ? '…' : `${text.slice(0, first.at + first.prefix.length)}…`;
}
