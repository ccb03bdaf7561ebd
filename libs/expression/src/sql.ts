import type { SelectorColumns } from './column-map.js';
import { functions } from './functions.js';
import { invalidExpression } from './problem.js';
import { type Statement, asJson, asScalar, constantJson, fenced, type ScalarKind, type SqlValue } from './sql-value.js';
import { constantKey, type BinaryOperator, type Literal, type Node } from './syntax.js';
import { assetTextFields, type AssetTextField } from './types.js';

const MAX_LIST_INDEX = 2n ** 31n - 1n;

/** Compiles a checked selector to SQL over the columns. Throws FettleError `invalid-expression` for what SQL cannot say. */
export function compileBool(root: Node, columns: SelectorColumns, statement: Statement): string {
  return new SelectorCompiler(columns, statement).bool(root);
}

/** The keys below `asset`, from the top, of a path such as `asset.facts.os.family`; undefined for anything else. */
export function assetPath(node: Node): readonly (string | bigint)[] | undefined {
  const keys: (string | bigint)[] = [];
  let inner = node;
  while (inner.op === 'select' || inner.op === 'index') {
    const key = constantKey(inner);
    if (key === undefined) return undefined;
    keys.push(key);
    inner = inner.operand;
  }
  return inner.op === 'variable' && inner.name === 'asset' ? keys.reverse() : undefined;
}

export function isTextField(name: unknown): name is AssetTextField {
  return (assetTextFields as readonly unknown[]).includes(name);
}

class SelectorCompiler {
  constructor(
    private readonly columns: SelectorColumns,
    private readonly statement: Statement,
  ) {}

  bool(node: Node): string {
    return asScalar(this.statement, this.#value(node), 'bool');
  }

  #refuse(node: Node, what: string): Error {
    return invalidExpression(node.place, `${what} is not supported in selectors`);
  }

  #value(node: Node): SqlValue {
    switch (node.op) {
      case 'literal':
        return this.#literal(node.value);
      case 'list':
      case 'map':
        return { kind: 'json', sql: this.statement.parameter(constantJson(node), 'jsonb') };
      case 'variable':
        throw this.#refuse(node, 'asset as a whole');
      case 'select':
      case 'index':
        return this.#path(node);
      case 'not':
        return { kind: 'bool', sql: `(NOT ${this.bool(node.operand)})` };
      case 'negate':
        return { kind: 'number', sql: `(- ${this.#scalar(node.operand, 'number')})` };
      case 'and':
      case 'or':
        return {
          kind: 'bool',
          sql: `(${node.operands.map((operand) => this.bool(operand)).join(node.op === 'and' ? ' AND ' : ' OR ')})`,
        };
      case 'conditional':
        return this.#conditional(node);
      case 'has':
        return { kind: 'bool', sql: this.#has(node.path) };
      case 'binary':
        return { kind: 'bool', sql: this.#binary(node) };
      case 'call':
        return this.#call(node);
      case 'macro':
        throw this.#refuse(node, `${node.name}()`);
    }
  }

  #scalar(node: Node, kind: ScalarKind): string {
    return asScalar(this.statement, this.#value(node), kind);
  }

  #literal(value: Literal): SqlValue {
    if (value === null) return { kind: 'null' };
    if (typeof value === 'boolean') return { kind: 'bool', sql: value ? 'TRUE' : 'FALSE' };
    if (typeof value === 'string') return { kind: 'text', sql: this.statement.parameter(value, 'text') };
    return { kind: 'number', sql: this.statement.parameter(String(value), 'numeric') };
  }

  #path(node: Extract<Node, { op: 'select' | 'index' }>): SqlValue {
    const keys = assetPath(node);
    if (!keys) return this.#member(node);
    const [field, first, ...rest] = keys;
    if (isTextField(field)) return { kind: 'text', sql: this.columns.text[field] };
    if (field === 'quarantined') return { kind: 'bool', sql: this.columns.quarantined };
    if (field === 'labels') {
      if (first === undefined) return { kind: 'json', sql: this.columns.labels };
      return { kind: 'text', sql: `(${this.columns.labels} ->> ${this.statement.parameter(String(first), 'text')})` };
    }
    if (first === undefined) throw this.#refuse(node, 'asset.facts as a whole');
    const { table, assetId, name, value } = this.columns.facts;
    const alias = this.statement.alias();
    const json = rest.reduce<string>((sql, key) => this.#step(sql, key, node), `${alias}.${value}`);
    const from = `FROM ${table} ${alias} WHERE ${alias}.${assetId} = ${this.columns.id} AND ${alias}.${name} = ${this.statement.parameter(String(first), 'text')}`;
    return { kind: 'json', sql: `(SELECT ${json} ${from})`, rows: `SELECT ${json} AS j ${from}` };
  }

  /** A field or element of something that is not a plain path, e.g. of a conditional. */
  #member(node: Extract<Node, { op: 'select' | 'index' }>): SqlValue {
    const key = constantKey(node);
    if (key === undefined) throw this.#refuse(node, 'a computed key or index');
    return { kind: 'json', sql: this.#step(asJson(this.#value(node.operand)).sql, key, node) };
  }

  /** One level down in a jsonb; NULL where it is missing or the container is of another type. */
  #step(sql: string, key: string | bigint, node: Node): string {
    if (typeof key === 'string') return `(${sql} -> ${this.statement.parameter(key, 'text')})`;
    if (key < 0n) return `(${sql} -> NULL::text)`;
    if (key > MAX_LIST_INDEX) throw this.#refuse(node, 'an index beyond 2^31');
    // Not `-> int`: Postgres takes a bare scalar for a list of one there. Strict and silent: NULL for anything but an element.
    return `jsonb_path_query_first(${sql}, ${this.statement.parameter(`strict $[${key}]`, 'jsonpath')}, '{}', TRUE)`;
  }

  #conditional(node: Extract<Node, { op: 'conditional' }>): SqlValue {
    const condition = this.bool(node.condition);
    const [a, b] = [this.#value(node.whenTrue), this.#value(node.whenFalse)];
    const choose = (x: string, y: string): string => `(CASE ${condition} WHEN TRUE THEN ${x} WHEN FALSE THEN ${y} END)`;
    if (a.kind === b.kind && a.kind !== 'null' && b.kind !== 'null') return { kind: a.kind, sql: choose(a.sql, b.sql) };
    return { kind: 'json', sql: choose(asJson(a).sql, asJson(b).sql) };
  }

  #has(path: Node): string {
    const keys = assetPath(path);
    if (keys?.length === 1 && !isTextField(keys[0])) return 'TRUE';
    const value = this.#value(path);
    return value.kind === 'null' ? 'TRUE' : `(${value.sql} IS NOT NULL)`;
  }

  #binary(node: Extract<Node, { op: 'binary' }>): string {
    const { operator, left, right } = node;
    switch (operator) {
      case '==':
        return this.#equal(this.#value(left), this.#value(right));
      case '!=':
        return `(NOT ${this.#equal(this.#value(left), this.#value(right))})`;
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#ordered(operator, this.#value(left), this.#value(right));
      case 'in':
        return right.op === 'list' ? this.#inLiteral(left, right.items) : this.#inValue(left, right);
      default:
        throw this.#refuse(right, `arithmetic (${operator satisfies BinaryOperator})`);
    }
  }

  #equal(a: SqlValue, b: SqlValue): string {
    if (a.kind === 'null' || b.kind === 'null') return this.#isNull(a.kind === 'null' ? b : a);
    if (a.kind === b.kind && a.kind !== 'json') return `(${a.sql} = ${b.sql})`;
    if (a.kind !== 'json' && b.kind === 'json') return `(${a.sql} = ${asScalar(this.statement, b, a.kind)})`;
    if (b.kind !== 'json' && a.kind === 'json') return `(${asScalar(this.statement, a, b.kind)} = ${b.sql})`;
    return this.#pair(a, b, (x, y) => `CASE WHEN jsonb_typeof(${x}) = jsonb_typeof(${y}) THEN ${x} = ${y} END`);
  }

  #isNull(value: SqlValue): string {
    return value.kind === 'null' ? 'TRUE' : `(jsonb_typeof(${asJson(value).sql}) = 'null')`;
  }

  #ordered(operator: '<' | '<=' | '>' | '>=', a: SqlValue, b: SqlValue): string {
    const kinds: readonly string[] = [a.kind, b.kind];
    if (kinds.includes('number'))
      return `(${asScalar(this.statement, a, 'number')} ${operator} ${asScalar(this.statement, b, 'number')})`;
    if (kinds.includes('text')) {
      // Collation "C" orders UTF-8 by bytes, which is by code point, as evaluation in memory does.
      return `(${asScalar(this.statement, a, 'text')} COLLATE "C" ${operator} ${asScalar(this.statement, b, 'text')} COLLATE "C")`;
    }
    return this.#pair(a, b, (x, y) => {
      const both = (type: string): string => `jsonb_typeof(${x}) = '${type}' AND jsonb_typeof(${y}) = '${type}'`;
      const text = `(${x} #>> '{}') COLLATE "C" ${operator} (${y} #>> '{}') COLLATE "C"`;
      return `CASE WHEN ${both('number')} THEN ${x} ${operator} ${y} WHEN ${both('string')} THEN ${text} END`;
    });
  }

  #pair(a: SqlValue, b: SqlValue, use: (x: string, y: string) => string): string {
    const alias = this.statement.alias();
    return `(SELECT ${use(`${alias}.l`, `${alias}.r`)} FROM ${fenced(`SELECT ${asJson(a).sql} AS l, ${asJson(b).sql} AS r`)} ${alias})`;
  }

  #inLiteral(left: Node, items: readonly Node[]): string {
    const value = this.#value(left);
    if (items.length === 0)
      return value.kind === 'null' ? 'FALSE' : `(CASE WHEN ${value.sql} IS NOT NULL THEN FALSE END)`;
    const literals = items.map((item) => (item.op === 'literal' ? item.value : undefined));
    const texts = literals.filter((literal) => typeof literal === 'string');
    const numbers = literals
      .filter((literal) => typeof literal === 'bigint' || typeof literal === 'number')
      .map(String);
    for (const [kind, list, type] of [
      ['text', texts, 'text[]'],
      ['number', numbers, 'numeric[]'],
    ] as const) {
      if (list.length !== items.length || value.kind === 'null') continue;
      return `(${asScalar(this.statement, value, kind)} = ANY (${this.statement.parameter(list, type)}))`;
    }
    if (value.kind === 'null') return `(${items.map((item) => this.#equal(value, this.#value(item))).join(' OR ')})`;
    const alias = this.statement.alias();
    const once: SqlValue = { kind: value.kind, sql: `${alias}.j` };
    const any = items.map((item) => this.#equal(once, this.#value(item))).join(' OR ');
    return `(SELECT ${any} FROM ${fenced(`SELECT ${value.sql} AS j`)} ${alias})`;
  }

  #inValue(left: Node, right: Node): string {
    const path = assetPath(right);
    if (path?.length === 1 && path[0] === 'facts') return this.#has(this.#factPath(left, right));
    if (path?.length === 1 && path[0] === 'labels' && left.op === 'literal' && typeof left.value === 'string') {
      return `((${this.columns.labels} -> ${this.statement.parameter(left.value, 'text')}) IS NOT NULL)`;
    }
    return this.#pair(this.#value(left), this.#value(right), (x, y) => {
      const element = this.statement.alias();
      const inMap = `CASE WHEN jsonb_typeof(${x}) = 'string' THEN (${y} -> (${x} #>> '{}')) IS NOT NULL END`;
      const some = `EXISTS (SELECT 1 FROM jsonb_array_elements(${y}) ${element}(e) WHERE ${element}.e = ${x})`;
      return `CASE jsonb_typeof(${y}) WHEN 'object' THEN ${inMap} WHEN 'array' THEN CASE WHEN ${x} IS NOT NULL THEN ${some} END END`;
    });
  }

  #factPath(name: Node, facts: Node): Node {
    if (name.op !== 'literal' || typeof name.value !== 'string') throw this.#refuse(name, 'a computed name of a fact');
    return { op: 'select', operand: facts, field: name.value, place: name.place };
  }

  #call(node: Extract<Node, { op: 'call' }>): SqlValue {
    const args = node.receiver === null ? node.args : [node.receiver, ...node.args];
    const [first, second] = args;
    if (!first || !functions.get(node.name)?.inSelectors) throw this.#refuse(node, `${node.name}()`);
    if (node.name === 'size' || !second) return this.#size(first);
    const [text, part] = [this.#scalar(first, 'text'), this.#scalar(second, 'text')];
    if (node.name === 'startsWith') return { kind: 'bool', sql: `starts_with(${text}, ${part})` };
    if (node.name === 'endsWith') return { kind: 'bool', sql: `starts_with(reverse(${text}), reverse(${part}))` };
    return { kind: 'bool', sql: `(strpos(${text}, ${part}) > 0)` };
  }

  #size(node: Node): SqlValue {
    const value = this.#value(node);
    if (value.kind === 'text') return { kind: 'number', sql: `char_length(${value.sql})::numeric` };
    const sql = this.statement.once(asJson(value), (column) => {
      const keys = this.statement.alias();
      const object = `(SELECT count(*) FROM jsonb_object_keys(${column}) ${keys})`;
      const sizes = `WHEN 'string' THEN char_length(${column} #>> '{}') WHEN 'array' THEN jsonb_array_length(${column}) WHEN 'object' THEN ${object}`;
      return `(CASE jsonb_typeof(${column}) ${sizes} END)::numeric`;
    });
    return { kind: 'number', sql };
  }
}
