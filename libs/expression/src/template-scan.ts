import { expressionLimits } from './parse.js';
import { invalidExpression, type Place, type Source } from './problem.js';

/** A piece of a template string: text as it is, or the source of an expression and where it begins in the string. */
export type Piece = { readonly text: string } | { readonly expression: string; readonly offset: number };

/**
 * Splits a string into text and `${{ }}` expressions. `$${{` stands for the text `${{`. Braces and quotes inside an expression are
 * followed, so that `}}` of a map or in a string does not end it. Throws FettleError `invalid-expression` where one never ends.
 */
export function scanTemplate(text: string, origin?: string): Piece[] {
  const pieces: Piece[] = [];
  let plain = '';
  let from = 0;
  for (let open = text.indexOf('${{'); open >= 0; open = text.indexOf('${{', from)) {
    if (open > from && text[open - 1] === '$') {
      plain += `${text.slice(from, open - 1)}\${{`;
      from = open + 3;
      continue;
    }
    plain += text.slice(from, open);
    const end = expressionEnd(text, open + 3);
    if (end === undefined) {
      const source: Source = { text: text.slice(0, open + expressionLimits.maxSourceChars), origin };
      const place: Place = { source, offset: open };
      throw invalidExpression(place, 'the expression that begins with ${{ never ends with }}', {
        text: text.slice(open, open + 40),
        remedy: 'Close it with }}, or write $${{ where ${{ is meant as text.',
      });
    }
    if (plain !== '') pieces.push({ text: plain });
    plain = '';
    pieces.push({ expression: text.slice(open + 3, end), offset: open + 3 });
    from = end + 2;
  }
  plain += text.slice(from);
  if (plain !== '') pieces.push({ text: plain });
  return pieces;
}

/** Where the `}}` that ends an expression begins; looks no further than an expression may be long. */
function expressionEnd(text: string, start: number): number | undefined {
  const limit = Math.min(text.length, start + expressionLimits.maxSourceChars + 2);
  let depth = 0;
  for (let at = start; at < limit; at += 1) {
    const char = text[at];
    if (char === '"' || char === "'") {
      const end = stringEnd(text, at, limit);
      if (end === undefined) return undefined;
      at = end;
    } else if (char === '{') depth += 1;
    else if (char === '}' && depth > 0) depth -= 1;
    else if (char === '}' && text[at + 1] === '}') return at;
  }
  return undefined;
}

/** The last character of a string literal that begins at `open`. As in the parser, a backslash guards the next character. */
function stringEnd(text: string, open: number, limit: number): number | undefined {
  const quote = text[open] ?? '"';
  const triple = text.startsWith(quote.repeat(3), open);
  const closing = triple ? quote.repeat(3) : quote;
  for (let at = open + closing.length; at < limit; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text.startsWith(closing, at)) return at + closing.length - 1;
  }
  return undefined;
}
