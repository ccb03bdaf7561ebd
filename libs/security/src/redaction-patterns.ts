/** A declared secret: what must not appear in output. */
export interface DeclaredSecret {
  /** Name of the credential or input, for reports; itself no secret. */
  readonly name: string;
  readonly value: string | Uint8Array;
  /**
   * `private-key`: a key in PEM or OpenSSH's form is looked for line by line, as it stands and in base64. All spellings of a
   * key of 4096 bits would need tables of a hundred megabytes, and nobody prints a key percent-encoded.
   */
  readonly form?: 'value' | 'private-key';
}

/** A secret that cannot be masked, and why. */
export interface UnprotectedSecret {
  readonly name: string;
  readonly reason: 'too-short' | 'too-long' | 'too-many';
}

/** Shorter ones would mask half of any output ("a", "123") and hide nothing from who can guess them. */
export const minSecretBytes = 4;
/** An RSA key of 16,384 bits in PEM has 13 KB. */
export const maxSecretBytes = 16 * 1024;
/** All patterns together: bounds the automaton, which takes about 400 bytes of memory for each (see `PatternAutomaton`). */
export const maxPatternBytes = 256 * 1024;
/** A line of a multi-line secret is masked by itself from this length on. */
const minLineLength = 8;

export interface PatternSet {
  readonly patterns: readonly Buffer[];
  readonly unprotected: readonly UnprotectedSecret[];
}

/** All byte strings to look for: each secret as it is and in the encodings that programs commonly print. */
export function collectPatterns(secrets: readonly DeclaredSecret[]): PatternSet {
  const patterns = new Map<string, Buffer>();
  const unprotected: UnprotectedSecret[] = [];
  let totalBytes = 0;
  for (const { name, value, form } of secrets) {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
    if (bytes.length < minSecretBytes || bytes.length > maxSecretBytes) {
      unprotected.push({ name, reason: bytes.length < minSecretBytes ? 'too-short' : 'too-long' });
      continue;
    }
    const wanted = form === 'private-key' ? keySpellings(bytes) : spellings(bytes);
    const fresh = wanted.filter((spelling) => !patterns.has(spelling.toString('latin1')));
    const freshBytes = fresh.reduce((sum, spelling) => sum + spelling.length, 0);
    if (totalBytes + freshBytes > maxPatternBytes) {
      unprotected.push({ name, reason: 'too-many' });
      continue;
    }
    totalBytes += freshBytes;
    for (const spelling of fresh) patterns.set(spelling.toString('latin1'), spelling);
  }
  return { patterns: [...patterns.values()], unprotected };
}

function spellings(secret: Buffer): Buffer[] {
  const found = new Map<string, Buffer>();
  const add = (...items: readonly (Buffer | string)[]): void => {
    for (const item of items) {
      const bytes = typeof item === 'string' ? Buffer.from(item, 'utf8') : item;
      if (bytes.length >= minSecretBytes) found.set(bytes.toString('latin1'), bytes);
    }
  };
  // A value read from a file often ends in a newline that a program leaves out when it prints it.
  const text = secret.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(secret);
  const trimmed = isText ? Buffer.from(text.trim(), 'utf8') : secret;
  for (const bytes of trimmed.length >= minSecretBytes && !trimmed.equals(secret) ? [secret, trimmed] : [secret]) {
    add(bytes, ...hexSpellings(bytes), ...base64Spellings(bytes), ...percentSpellings(bytes));
    if (isText) add(...jsonSpellings(bytes.toString('utf8')), bytes.toString('utf8').replaceAll("'", "'\\''"));
  }
  // A key in PEM: a terminal may change its line ends, and a log may prefix each line.
  const lines = isText && text.includes('\n') ? text.split('\n').map((line) => line.trim()) : [];
  add(...lines.filter((line) => line.length >= minLineLength));
  return [...found.values()];
}

/** Lines of a key without its BEGIN and END, which are no secret, and the lines of its base64. */
function keySpellings(key: Buffer): Buffer[] {
  const lines = key
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.length >= minLineLength && !line.startsWith('-----'));
  return [...lines, ...base64Lines(key)].map((line) => Buffer.from(line, 'utf8'));
}

function hexSpellings(secret: Buffer): string[] {
  const hex = secret.toString('hex');
  return [hex, hex.toUpperCase()];
}

/**
 * Base64 and base64url (RFC 4648): alone, with and without padding, and inside a longer encoded text, where the secret may
 * start at each of three offsets. There only the characters that depend on nothing but the secret can be looked for; up to four
 * bits of its first and last byte may stay visible. Long ones are also looked for line by line.
 */
function base64Spellings(secret: Buffer): string[] {
  const found = base64Lines(secret);
  for (const encoding of ['base64', 'base64url'] as const) {
    const alone = secret.toString(encoding);
    found.push(alone, alone.replace(/=+$/, ''));
    for (const offset of [0, 1, 2]) {
      const shifted = Buffer.concat([Buffer.alloc(offset), secret]);
      const first = Math.ceil((offset * 8) / 6);
      const end = Math.floor((shifted.length * 8) / 6);
      found.push(shifted.toString(encoding).slice(first, end));
    }
  }
  return found;
}

/** As `base64` (76 characters) and OpenSSL (64) break it; none where one line holds it all. */
function base64Lines(secret: Buffer): string[] {
  const found: string[] = [];
  for (const lineLength of [64, 76]) {
    const lines = secret.toString('base64').match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? [];
    if (lines.length > 1) found.push(...lines.filter((line) => line.length >= minLineLength));
  }
  return found;
}

/** RFC 3986 section 2.1, by the habits of several languages: which characters are escaped and in which case. */
function percentSpellings(secret: Buffer): string[] {
  const escape = (keep: RegExp, space: string): string =>
    [...secret]
      .map((byte) => {
        const character = String.fromCharCode(byte);
        if (byte === 0x20) return space;
        return keep.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
      })
      .join('');
  const upper = [
    escape(/[A-Za-z0-9_.~-]/, '%20'),
    escape(/[A-Za-z0-9_.~!'()*-]/, '%20'),
    escape(/[A-Za-z0-9_.*-]/, '+'),
    escape(/[A-Za-z0-9_.~/-]/, '%20'),
    escape(/[^\s\S]/, '%20'),
  ];
  return [...upper, ...upper.map((text) => text.replace(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()))];
}

/** RFC 8259 section 7: as JavaScript writes it, in ASCII only (Python), with "/" escaped (PHP), with "<>&" escaped (Go). */
function jsonSpellings(text: string): string[] {
  const plain = JSON.stringify(text).slice(1, -1);
  const unicode = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const ascii = plain.replace(/[\u007f-\uffff]/g, unicode);
  const shapes = [
    plain,
    ascii,
    plain.replaceAll('/', '\\/'),
    ascii.replaceAll('/', '\\/'),
    plain.replace(/[<>&\u2028\u2029]/g, unicode),
  ];
  return [
    ...shapes,
    ...shapes.map((shape) => shape.replace(/\\u[0-9a-f]{4}/g, (escaped) => `\\u${escaped.slice(2).toUpperCase()}`)),
  ];
}
