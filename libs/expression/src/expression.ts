import { check } from './check.js';
import { parseSyntax } from './parse.js';
import type { Pattern } from './pattern.js';
import { requireBool } from './require-type.js';
import type { Node } from './syntax.js';
import type { ExpressionEnvironment, StaticType } from './types.js';

/** An expression that was parsed and checked. Immutable; keep it and evaluate it as often as needed. */
export interface Expression {
  readonly source: string;
  readonly environment: ExpressionEnvironment;
  readonly type: StaticType;
  /** For this room only. */
  readonly root: Node;
  /** For this room only. */
  readonly patterns: ReadonlyMap<Node, Pattern>;
}

export interface ParseOptions {
  /** What the text is, for messages and `position.file`: e.g. `--on` or `spec.steps[0].if`. */
  readonly origin?: string | undefined;
  /** `bool`: anything that cannot be a bool is refused, as for conditions. */
  readonly expect?: 'bool' | undefined;
}

/**
 * Parses and type-checks an expression. Throws FettleError `invalid-expression` with `position` (line and column, from 1, of the
 * offending token), `remedy` and, where a known name is close, `detail.suggestion`. Selectors are read by `parseSelector`.
 */
export function parseExpression(
  source: string,
  environment: ExpressionEnvironment,
  options: ParseOptions = {},
): Expression {
  const root = parseSyntax(source, options.origin);
  const { type, patterns } = check(root, environment);
  if (options.expect === 'bool') requireBool(type, root.place, 'a condition');
  return Object.freeze({ source, environment, type, root, patterns });
}
