import { FettleError, type SourcePosition } from '@fettle/contracts';

/** The text an expression was read from. `origin` tells a person which text it is, e.g. `--on` or `spec.targets`. */
export interface Source {
  readonly text: string;
  readonly origin: string | undefined;
}

/** A place in a source: `offset` counts UTF-16 code units from 0. */
export interface Place {
  readonly source: Source;
  readonly offset: number;
}

/** Line and column of a place in its own source, both from 1. */
export function positionOf(place: Place): SourcePosition {
  const before = place.source.text.slice(0, place.offset);
  const line = before.split('\n').length;
  const column = place.offset - (before.lastIndexOf('\n') + 1) + 1;
  return { line, column };
}

/** `line:column`, after the origin if there is one. */
export function describePlace(place: Place): string {
  const { line, column } = positionOf(place);
  return place.source.origin === undefined ? `${line}:${column}` : `${place.source.origin}:${line}:${column}`;
}

export interface ProblemOptions {
  /** The offending text, shortened to 120 characters. */
  readonly text?: string | undefined;
  /** The closest known name. */
  readonly suggestion?: string | undefined;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/** The error of everything that is wrong with an expression's text: code `invalid-expression`, with position. */
export function invalidExpression(place: Place, message: string, options: ProblemOptions = {}): FettleError {
  const { suggestion, text, cause } = options;
  const remedy = options.remedy ?? (suggestion === undefined ? undefined : `Did you mean "${suggestion}"?`);
  return new FettleError({
    code: 'invalid-expression',
    message: `${message} (at ${describePlace(place)})`,
    remedy,
    position: positionOf(place),
    detail: {
      ...(text === undefined ? {} : { text: text.slice(0, 120) }),
      ...(suggestion === undefined ? {} : { suggestion }),
      ...(place.source.origin === undefined ? {} : { origin: place.source.origin }),
    },
    cause,
  });
}

/** Names longer than this are never compared: the distance is quadratic. */
const MAX_COMPARED_LENGTH = 64;

/** The known name closest to what was written, if one is close enough to be what was meant. */
export function closestName(written: string, known: Iterable<string>): string | undefined {
  if (written.length > MAX_COMPARED_LENGTH) return undefined;
  let best: string | undefined;
  // Of one or two letters everything is close to everything.
  let bestDistance = (written.length < 3 ? 0 : Math.max(1, Math.floor(written.length / 3))) + 1;
  for (const name of known) {
    if (name.length > MAX_COMPARED_LENGTH) continue;
    const distance = editDistance(written.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(at(rows, i - 1, j) + 1, (row[j - 1] ?? 0) + 1, at(rows, i - 1, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        distance = Math.min(distance, at(rows, i - 2, j - 2) + 1);
      row.push(distance);
    }
    rows.push(row);
  }
  return at(rows, a.length, b.length);
}

function at(rows: readonly (readonly number[])[], i: number, j: number): number {
  return rows[i]?.[j] ?? 0;
}
