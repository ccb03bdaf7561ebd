/** A word of a line with the column (from 0) at which it starts. */
export interface ShellWord {
  readonly text: string;
  readonly start: number;
}

export type ShellWords = { readonly words: readonly ShellWord[] } | { readonly problem: string; readonly at: number };

/**
 * Splits a line as Python's `shlex.split(line, comments=True)` does, which is what Ansible's INI inventories are read with: single
 * and double quotes, backslashes outside single quotes, and `#` starting a comment even in the middle of a word.
 */
export function splitShellWords(line: string): ShellWords {
  const words: ShellWord[] = [];
  let at = 0;
  while (at < line.length) {
    const character = line.charAt(at);
    if (isBlank(character)) {
      at += 1;
      continue;
    }
    if (character === '#') break;
    const word = readWord(line, at);
    if ('problem' in word) return word;
    words.push({ text: word.text, start: at });
    at = word.next;
  }
  return { words };
}

type ReadWord = { readonly text: string; readonly next: number } | { readonly problem: string; readonly at: number };

function readWord(line: string, start: number): ReadWord {
  let text = '';
  let at = start;
  while (at < line.length) {
    const character = line.charAt(at);
    if (isBlank(character)) break;
    if (character === '#') return { text, next: line.length };
    if (character === '"' || character === "'") {
      const quoted = readQuoted(line, at);
      if ('problem' in quoted) return quoted;
      text += quoted.text;
      at = quoted.next;
    } else if (character === '\\') {
      if (at + 1 >= line.length) return { problem: 'a backslash ends the line', at };
      text += line.charAt(at + 1);
      at += 2;
    } else {
      text += character;
      at += 1;
    }
  }
  return { text, next: at };
}

function readQuoted(line: string, start: number): ReadWord {
  const quote = line.charAt(start);
  let text = '';
  let at = start + 1;
  while (at < line.length) {
    const character = line.charAt(at);
    if (character === quote) return { text, next: at + 1 };
    const next = line.charAt(at + 1);
    // Inside double quotes a backslash escapes only itself and the quote.
    if (character === '\\' && quote === '"' && (next === '"' || next === '\\')) {
      text += next;
      at += 2;
    } else {
      text += character;
      at += 1;
    }
  }
  return { problem: `a quote (${quote}) is never closed`, at: start };
}

function isBlank(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\r' || character === '\n';
}
