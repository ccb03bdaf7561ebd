import { invalidExpression } from './problem.js';
import type { Node } from './syntax.js';

/**
 * An SQL expression and how it holds its value; NULL is unknown (or missing). `json` holds any value as jsonb; where it comes
 * from a fact, `rows` is a query of at most one row with the value as column `j`, cheaper to go on from than the expression.
 */
export type SqlValue =
  | { readonly kind: 'bool' | 'text' | 'number'; readonly sql: string }
  | { readonly kind: 'json'; readonly sql: string; readonly rows?: string }
  | { readonly kind: 'null' };

export type ScalarKind = 'bool' | 'text' | 'number';

/**
 * A query in a FROM clause that the planner must not merge into the one around it: merging copies an expression to each place
 * that names its column, which for nested expressions is exponential work at plan time.
 */
export function fenced(query: string): string {
  return `(${query} OFFSET 0)`;
}

/** The parameters of one statement and the names of its inner queries. */
export class Statement {
  readonly parameters: unknown[] = [];
  readonly #numbers = new Map<string, number>();
  #aliases = 0;

  constructor(private readonly firstParameter: number) {}

  /** `$n::type`; equal values of equal type share a parameter. */
  parameter(value: string | readonly string[], type: string): string {
    const key = JSON.stringify([type, value]);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.firstParameter + this.parameters.length;
      this.parameters.push(value);
      this.#numbers.set(key, number);
    }
    return `$${number}::${type}`;
  }

  /** A name that no other inner query of the statement has. */
  alias(): string {
    this.#aliases += 1;
    return `fettle_v${this.#aliases}`;
  }

  /** A value that is needed more than once, written only once: nested expressions must not grow exponentially. */
  once(value: Extract<SqlValue, { kind: 'json' }>, use: (column: string) => string): string {
    const alias = this.alias();
    return `(SELECT ${use(`${alias}.j`)} FROM ${fenced(value.rows ?? `SELECT ${value.sql} AS j`)} ${alias})`;
  }
}

export const jsonTypeOf: Readonly<Record<ScalarKind, string>> = { bool: 'boolean', text: 'string', number: 'number' };

/** What reads a jsonb that is known to be of the type. The cast to numeric must only run inside a CASE that says so. */
export function readJson(kind: ScalarKind, column: string): string {
  if (kind === 'bool') return `${column} = 'true'::jsonb`;
  return kind === 'text' ? `${column} #>> '{}'` : `${column}::numeric`;
}

/** A value as a scalar of one kind; NULL where it is of another. */
export function asScalar(statement: Statement, value: SqlValue, kind: ScalarKind): string {
  if (value.kind === kind) return value.sql;
  if (value.kind !== 'json') return `NULL::${kind === 'bool' ? 'boolean' : kind === 'number' ? 'numeric' : 'text'}`;
  return statement.once(
    value,
    (column) => `CASE WHEN jsonb_typeof(${column}) = '${jsonTypeOf[kind]}' THEN ${readJson(kind, column)} END`,
  );
}

/** A value as jsonb. */
export function asJson(value: SqlValue): Extract<SqlValue, { kind: 'json' }> {
  if (value.kind === 'json') return value;
  if (value.kind === 'null') return { kind: 'json', sql: `'null'::jsonb` };
  return { kind: 'json', sql: `to_jsonb(${value.sql})` };
}

/** The JSON text of a list or map whose parts are all written out; refuses any other. */
export function constantJson(node: Node): string {
  if (node.op === 'literal')
    return typeof node.value === 'bigint' || typeof node.value === 'number'
      ? String(node.value)
      : JSON.stringify(node.value);
  if (node.op === 'list') return `[${node.items.map(constantJson).join(',')}]`;
  if (node.op === 'map')
    return `{${node.entries.map(([key, value]) => `${constantJson(key)}:${constantJson(value)}`).join(',')}}`;
  throw invalidExpression(
    node.place,
    'a computed value inside a list or map is not supported in selectors; write the values out',
  );
}
