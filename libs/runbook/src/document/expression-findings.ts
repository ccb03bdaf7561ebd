import { FettleError, type Finding } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { finding } from './findings.js';
import type { DocumentPlaces } from './document-places.js';

/** A text of a document that holds an expression: where the text is, and where in it the expression begins. */
export interface ExpressionPlace {
  readonly places: DocumentPlaces;
  readonly path: JsonPath;
  /** UTF-16 code units from the beginning of the text. */
  readonly offset: number;
  readonly source: string;
}

/** Offset in a text of a line and column, both from 1. */
function offsetOf(text: string, line: number, column: number): number {
  let start = 0;
  for (let left = line - 1; left > 0; left -= 1) start = text.indexOf('\n', start) + 1;
  return start + column - 1;
}

/** A finding at a position inside an expression, placed in the document. */
export function expressionFinding(
  code: string,
  message: string,
  { places, path, offset, source }: ExpressionPlace,
  inside: { readonly line: number; readonly column: number } | undefined,
  options: { readonly text?: string | undefined; readonly suggestion?: string | undefined } = {},
): Finding {
  const local = inside === undefined ? 0 : offsetOf(source, inside.line, inside.column);
  const { position, isExact } = places.insideText(path, offset + local);
  const where = isExact || inside === undefined ? '' : ` (at ${inside.line}:${inside.column} of the expression)`;
  const text = options.text ?? source.trim();
  return finding(code, `${message}${where}`, { path, position, text, suggestion: options.suggestion });
}

/** Runs a check that throws FettleError with a position inside the expression; what it throws becomes a finding. */
export function checkExpression<Result>(
  place: ExpressionPlace,
  findings: Finding[],
  check: () => Result,
): Result | null {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    // The message ends with the position inside the expression, the finding has the one in the document.
    const message = error.message.replace(/ \(at (?:[^()]*:)?\d+:\d+\)$/, '');
    const { text, suggestion } = error.detail ?? {};
    findings.push(
      expressionFinding(error.code, message, place, error.position, {
        text: typeof text === 'string' ? text : undefined,
        suggestion: typeof suggestion === 'string' ? suggestion : undefined,
      }),
    );
    return null;
  }
}
