import { RE2JS, RE2JSException } from 're2js';
import { invalidExpression } from './problem.js';
import type { Node } from './syntax.js';

/** Limits of a regular expression: matching costs time in proportion to program size times text. */
export const patternLimits = Object.freeze({ maxChars: 500, maxProgram: 2000 });

export interface Pattern {
  readonly matches: (text: string) => boolean;
  /** Instructions of the compiled pattern. */
  readonly size: number;
}

/** Compiles the constant pattern of `text.matches("...")`; RE2 syntax, linear time. Throws FettleError `invalid-expression`. */
export function compilePattern(node: Node): Pattern {
  if (node.op !== 'literal' || typeof node.value !== 'string') {
    throw invalidExpression(node.place, 'matches() takes a pattern written out as a string');
  }
  const text = node.value;
  if (text.length > patternLimits.maxChars) {
    throw invalidExpression(
      node.place,
      `the pattern has ${text.length} characters, ${patternLimits.maxChars} are allowed`,
    );
  }
  try {
    const compiled = RE2JS.compile(text);
    const size = compiled.programSize();
    if (size > patternLimits.maxProgram)
      throw invalidExpression(node.place, 'the pattern is too large; use smaller repeat counts');
    return { matches: (value) => compiled.matcher(value).find(), size };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw invalidExpression(node.place, `the pattern is not a regular expression of RE2: ${error.message}`, {
      text,
      cause: error,
    });
  }
}
