import { assetColumnMap, type SelectorColumns } from './column-map.js';
import { evaluateCondition, type Truth } from './evaluate.js';
import { parseExpression, type Expression } from './expression.js';
import { assetPath, compileBool, isTextField } from './sql.js';
import { Statement } from './sql-value.js';
import type { Node } from './syntax.js';
import type { AssetView } from './types.js';

/** A selector that was parsed, checked and found expressible in SQL. */
export interface Selector extends Expression {
  readonly environment: 'selector';
}

/**
 * Reads a selector. Throws FettleError `invalid-expression` with position as `parseExpression` does, also for what only
 * evaluation in memory could do ("not supported in selectors").
 */
export function parseSelector(source: string, options: { readonly origin?: string | undefined } = {}): Selector {
  const expression = parseExpression(source, 'selector', { ...options, expect: 'bool' });
  compileBool(expression.root, assetColumnMap, new Statement(1));
  return Object.freeze({ ...expression, environment: 'selector' });
}

/** Whether an asset is selected; `unknown` where a value is missing or of the wrong type, and then it is not selected. */
export function evaluateSelector(selector: Selector, asset: AssetView): Truth {
  return evaluateCondition(selector, { asset });
}

/**
 * Both selectors: how `--on` narrows a runbook's own. Each was parsed by itself, so errors point into its own text; unknown
 * results name the origin of the part they come from.
 */
export function narrow(a: Selector, b: Selector): Selector {
  const root: Node = { op: 'and', operands: [a.root, b.root], place: a.root.place };
  return Object.freeze({ ...a, source: sourceOfBoth(a.source.trim(), b.source.trim()), root, patterns: new Map() });
}

/** Readable in one line; a comment would swallow what follows it. */
function sourceOfBoth(a: string, b: string): string {
  const wrap = (source: string): string => (source.includes('//') ? `(${source}\n)` : `(${source})`);
  return a === 'true' ? b : `${wrap(a)} && ${wrap(b)}`;
}

/** A piece of SQL with the values of its parameters, each of which it uses: text, or lists of text for `= ANY`. */
export interface SqlFragment {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export interface CompiledSelector extends SqlFragment {
  /** TRUE, FALSE or NULL (unknown), exactly as evaluation in memory. `(sql) IS NULL` counts the undetermined. */
  readonly sql: string;
  /** For WHERE clauses: TRUE exactly where `sql` is, never NULL, with what indexes can serve in front. */
  readonly where: SqlFragment;
}

export interface CompileOptions {
  /** Number of the first parameter, where the statement around has its own before. */
  readonly firstParameter?: number | undefined;
}

/** Compiles a selector, or the text of one, to parameterised SQL for Postgres 14 or later with a UTF-8 database. */
export function compileSelector(
  selector: Selector | string,
  columns: SelectorColumns = assetColumnMap,
  { firstParameter = 1 }: CompileOptions = {},
): CompiledSelector {
  const { root } = typeof selector === 'string' ? parseSelector(selector) : selector;
  const value = new Statement(firstParameter);
  const sql = compileBool(root, columns, value);
  const condition = new Statement(firstParameter);
  const where = [
    ...indexConditions(root, columns, condition),
    `(${compileBool(root, columns, condition)}) IS TRUE`,
  ].join(' AND ');
  return { sql, parameters: value.parameters, where: { sql: where, parameters: condition.parameters } };
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Conditions that hold for every selected asset and that an index can serve: equality of columns, ids and labels. */
function indexConditions(root: Node, columns: SelectorColumns, statement: Statement): string[] {
  const conditions: string[] = [];
  const pending: Node[] = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (node.op === 'and') pending.push(...node.operands.toReversed());
    if (node.op !== 'binary' || (node.operator !== '==' && node.operator !== 'in')) continue;
    const flipped = node.operator === '==' && node.left.op === 'literal';
    const path = assetPath(flipped ? node.right : node.left);
    const wanted = literalTexts(flipped ? node.left : node.right);
    const condition = path && wanted ? indexCondition(path, wanted, columns, statement) : undefined;
    if (condition !== undefined) conditions.push(condition);
  }
  return conditions;
}

function literalTexts(node: Node): string[] | undefined {
  const items = node.op === 'list' ? node.items : [node];
  const texts = items.flatMap((item) => (item.op === 'literal' && typeof item.value === 'string' ? [item.value] : []));
  return texts.length === items.length && texts.length > 0 ? texts : undefined;
}

function indexCondition(
  path: readonly (string | bigint)[],
  texts: readonly string[],
  columns: SelectorColumns,
  statement: Statement,
): string | undefined {
  const [field, key, ...deeper] = path;
  const [only] = texts.length === 1 ? texts : [];
  if (field === 'id' && key === undefined) {
    return texts.every((text) => uuid.test(text))
      ? `${columns.id} = ANY (${statement.parameter(texts, 'uuid[]')})`
      : undefined;
  }
  if (isTextField(field) && key === undefined) {
    if (only !== undefined) return `${columns.text[field]} = ${statement.parameter(only, 'text')}`;
    return `${columns.text[field]} = ANY (${statement.parameter(texts, 'text[]')})`;
  }
  if (field !== 'labels' || typeof key !== 'string' || deeper.length > 0 || only === undefined) return undefined;
  return `${columns.labels} @> ${statement.parameter(JSON.stringify({ [key]: only }), 'jsonb')}`;
}
