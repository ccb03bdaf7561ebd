import type { AnsibleValue } from './value.js';

const MAX_DEPTH = 50;

export interface ParsedLiteral {
  readonly value: AnsibleValue;
  /** A number as it was written. */
  readonly written?: string;
}

/**
 * The value of an INI variable: a Python literal where the text is one, else the text itself. Ansible calls `ast.literal_eval`
 * (docs.python.org/3/library/ast.html) and falls back to the text, so `true` is a text, `True` a boolean and `80,443` a list.
 */
export function parsePythonLiteral(text: string): ParsedLiteral {
  // Most values are plain words or addresses; finding that out by an exception costs more than all the rest of the reading.
  if (PLAIN_WORD.test(text) && NUMBER.exec(text)?.[0] !== text && !WORD.test(text)) return { value: text };
  const reader = new LiteralReader(text);
  try {
    return reader.read();
  } catch (error) {
    if (error instanceof NotALiteral) return { value: text };
    throw error;
  }
}

class NotALiteral extends Error {}

const NUMBER =
  /^(?:0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:(?:[0-9](?:_?[0-9])*)?\.[0-9](?:_?[0-9])*|[0-9](?:_?[0-9])*\.?)(?:[eE][+-]?[0-9](?:_?[0-9])*)?)/;
const PLAIN_WORD = /^[A-Za-z0-9_/][A-Za-z0-9_.:/@-]*$/;
const WORD = /^(True|False|None)(?![A-Za-z0-9_])/;
const STRING_START = /^([rRbBuU]{0,2})('''|"""|'|")/;

class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.replace(/^[ \t]+/, '');
  }

  read(): ParsedLiteral {
    this.#skip(false);
    const start = this.#at;
    const first = this.#value(0);
    const written = typeof first === 'number' ? this.#text.slice(start, this.#at).trim() : undefined;
    this.#skip(false);
    if (this.#atEnd()) return { value: first, ...(written === undefined ? {} : { written }) };
    if (this.#peek() !== ',') throw new NotALiteral();
    const items = [first];
    while (this.#peek() === ',') {
      this.#at += 1;
      this.#skip(false);
      if (this.#atEnd()) break;
      items.push(this.#value(0));
      this.#skip(false);
    }
    if (!this.#atEnd()) throw new NotALiteral();
    return { value: items };
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #atEnd(): boolean {
    return this.#at >= this.#text.length || this.#peek() === '#';
  }

  /** Line ends count as blanks inside brackets only, but a line of an INI file has none. */
  #skip(inBrackets: boolean): void {
    while (/[ \t\f]/.test(this.#peek()) || (inBrackets && /[\r\n]/.test(this.#peek()))) this.#at += 1;
  }

  #match(expression: RegExp): RegExpExecArray | null {
    const match = expression.exec(this.#text.slice(this.#at, this.#at + 4096));
    if (match) this.#at += match[0].length;
    return match;
  }

  #value(depth: number): AnsibleValue {
    if (depth > MAX_DEPTH) throw new NotALiteral();
    const character = this.#peek();
    if (character === '[') return this.#items(']', depth).items;
    if (character === '(') {
      const { items, hasComma } = this.#items(')', depth);
      const [only] = items;
      return items.length === 1 && !hasComma && only !== undefined ? only : items;
    }
    if (character === '{') return this.#braces(depth);
    const word = this.#match(WORD)?.[1];
    if (word !== undefined) return word === 'None' ? null : word === 'True';
    if (STRING_START.test(this.#text.slice(this.#at, this.#at + 5))) return this.#strings();
    return this.#number();
  }

  #number(): number {
    let sign = 1;
    while (this.#peek() === '-' || this.#peek() === '+') {
      if (this.#peek() === '-') sign = -sign;
      this.#at += 1;
      this.#skip(false);
    }
    const written = this.#match(NUMBER)?.[0].replaceAll('_', '');
    // Python refuses leading zeros of whole numbers and takes a trailing j for a complex one.
    if (written === undefined || written === '.' || /^0[0-9]*[1-9][0-9]*$/.test(written)) throw new NotALiteral();
    if (/[A-Za-z0-9_.]/.test(this.#peek())) throw new NotALiteral();
    // Python's whole numbers know no -0.
    return sign * Number(written) || 0;
  }

  #items(close: string, depth: number): { items: AnsibleValue[]; hasComma: boolean } {
    const items: AnsibleValue[] = [];
    let hasComma = false;
    this.#at += 1;
    this.#skip(true);
    while (this.#peek() !== close) {
      items.push(this.#value(depth + 1));
      this.#skip(true);
      if (this.#peek() === ',') {
        hasComma = true;
        this.#at += 1;
        this.#skip(true);
      } else if (this.#peek() !== close) throw new NotALiteral();
    }
    this.#at += 1;
    return { items, hasComma };
  }

  /** A dict, or a set, which becomes a list. */
  #braces(depth: number): AnsibleValue {
    const entries: [string, AnsibleValue][] = [];
    const members: AnsibleValue[] = [];
    this.#at += 1;
    this.#skip(true);
    while (this.#peek() !== '}') {
      const key = this.#value(depth + 1);
      this.#skip(true);
      if (this.#peek() === ':') {
        this.#at += 1;
        this.#skip(true);
        entries.push([typeof key === 'string' ? key : JSON.stringify(key), this.#value(depth + 1)]);
        this.#skip(true);
      } else members.push(key);
      if (this.#peek() === ',') {
        this.#at += 1;
        this.#skip(true);
      } else if (this.#peek() !== '}') throw new NotALiteral();
    }
    this.#at += 1;
    if (members.length > 0 && entries.length > 0) throw new NotALiteral();
    return members.length > 0 ? members : Object.fromEntries(entries);
  }

  /** One string, or several side by side, which Python joins. */
  #strings(): string {
    let joined = '';
    for (;;) {
      const start = this.#match(STRING_START);
      if (!start) return joined;
      joined += this.#stringBody(start[2] ?? '', /r/i.test(start[1] ?? ''));
      this.#skip(false);
    }
  }

  #stringBody(quote: string, raw: boolean): string {
    let body = '';
    while (!this.#text.startsWith(quote, this.#at)) {
      if (this.#at >= this.#text.length) throw new NotALiteral();
      if (this.#peek() !== '\\') {
        body += this.#peek();
        this.#at += 1;
      } else if (raw) {
        body += this.#text.slice(this.#at, this.#at + 2);
        this.#at += 2;
      } else body += this.#escape();
    }
    this.#at += quote.length;
    return body;
  }

  #escape(): string {
    const numeric = this.#match(/^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3}))/);
    if (numeric) {
      const hex = numeric[1] ?? numeric[2] ?? numeric[3];
      const code = hex === undefined ? Number.parseInt(numeric[4] ?? '0', 8) : Number.parseInt(hex, 16);
      if (code > 0x10ffff) throw new NotALiteral();
      return String.fromCodePoint(code);
    }
    const character = this.#text.charAt(this.#at + 1);
    this.#at += 2;
    return SIMPLE_ESCAPES[character] ?? `\\${character}`;
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};
