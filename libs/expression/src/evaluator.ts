import { FettleError } from '@fettle/contracts';
import { calculate, functions, inIntRange, misfit, type Outcome } from './functions.js';
import { Meter, Unknown } from './meter.js';
import type { Pattern } from './pattern.js';
import type { Place } from './problem.js';
import { constantKey, type ArithmeticOperator, type Node } from './syntax.js';
import {
  ListValue,
  MAX_VALUE_DEPTH,
  MapValue,
  compareNumbers,
  compareStrings,
  isNumber,
  typeName,
  type CelValue,
} from './values.js';

/** Values of the variables. */
export type Scope = ReadonlyMap<string, CelValue>;
type Result = CelValue | Unknown;

/** Evaluates checked syntax over values: one evaluation, one instance, as it counts its work. */
export class Evaluator {
  readonly #meter = new Meter();

  constructor(private readonly patterns: ReadonlyMap<Node, Pattern>) {}

  value(node: Node, scope: Scope): Result {
    this.#meter.charge(1, node.place);
    switch (node.op) {
      case 'literal':
        return node.value;
      case 'variable':
        return (
          scope.get(node.name) ??
          (scope.has(node.name) ? null : new Unknown(`"${node.name}" has no value here`, node.place))
        );
      case 'list':
        return this.#list(node.items, scope);
      case 'map':
        return this.#map(node.entries, scope);
      case 'select':
      case 'index':
        return this.#member(node, scope);
      case 'not': {
        const operand = this.#bool(node.operand, scope);
        return operand instanceof Unknown ? operand : !operand;
      }
      case 'negate':
        return this.#negate(node.operand, scope);
      case 'and':
      case 'or':
        return this.#junction(node.operands, node.op === 'or', scope);
      case 'conditional': {
        const condition = this.#bool(node.condition, scope);
        if (condition instanceof Unknown) return condition;
        return this.value(condition ? node.whenTrue : node.whenFalse, scope);
      }
      case 'has':
        return this.#has(node.path, scope);
      case 'binary':
        return this.#binary(node, scope);
      case 'call':
        return this.#call(node, scope);
      case 'macro':
        return this.#macro(node, scope);
    }
  }

  #bool(node: Node, scope: Scope): boolean | Unknown {
    const value = this.value(node, scope);
    if (typeof value === 'boolean' || value instanceof Unknown) return value;
    return new Unknown(`a bool is needed, this is ${typeName(value)}`, node.place);
  }

  #list(items: readonly Node[], scope: Scope): Result {
    const values: CelValue[] = [];
    for (const item of items) {
      const value = this.value(item, scope);
      if (value instanceof Unknown) return value;
      values.push(value);
    }
    return new ListValue(values, false);
  }

  #map(entries: readonly (readonly [Node, Node])[], scope: Scope): Result {
    const values = new Map<string, CelValue>();
    for (const [keyNode, valueNode] of entries) {
      const key = this.value(keyNode, scope);
      if (key instanceof Unknown) return key;
      if (typeof key !== 'string')
        return new Unknown(`a key must be a string, this is ${typeName(key)}`, keyNode.place);
      if (values.has(key)) return new Unknown(`the key "${key}" occurs twice`, keyNode.place);
      const value = this.value(valueNode, scope);
      if (value instanceof Unknown) return value;
      values.set(key, value);
    }
    return new MapValue(values);
  }

  #member(node: Extract<Node, { op: 'select' | 'index' }>, scope: Scope): Result {
    const container = this.value(node.operand, scope);
    if (container instanceof Unknown) return container;
    const key = node.op === 'select' ? node.field : this.value(node.key, scope);
    if (key instanceof Unknown) return key;
    const value = lookUp(container, key);
    return value === undefined ? missing(container, key, node.place) : value;
  }

  #has(path: Node, scope: Scope): boolean {
    const key = constantKey(path);
    if ((path.op !== 'select' && path.op !== 'index') || key === undefined) return false;
    const container = this.value(path.operand, scope);
    return !(container instanceof Unknown) && lookUp(container, key) !== undefined;
  }

  #negate(operand: Node, scope: Scope): Result {
    const value = this.value(operand, scope);
    if (value instanceof Unknown) return value;
    if (typeof value === 'number') return -value;
    if (typeof value === 'bigint' && inIntRange(-value)) return -value;
    return new Unknown(`no - of this ${typeName(value)}`, operand.place);
  }

  /** Three-valued `||` (absorbing is true) and `&&` (absorbing is false). */
  #junction(operands: readonly Node[], absorbing: boolean, scope: Scope): Result {
    let unknown: Unknown | undefined;
    for (const operand of operands) {
      const value = this.#bool(operand, scope);
      if (value === absorbing) return absorbing;
      if (value instanceof Unknown) unknown ??= value;
    }
    return unknown ?? !absorbing;
  }

  #binary(node: Extract<Node, { op: 'binary' }>, scope: Scope): Result {
    const { operator, left, right, place } = node;
    const a = this.value(left, scope);
    if (a instanceof Unknown) return a;
    if (operator === 'in' && right.op === 'list') return this.#inLiteral(a, left, right.items, scope);
    const b = this.value(right, scope);
    if (b instanceof Unknown) return b;
    switch (operator) {
      case '==':
        return this.#equal(a, b, left, right);
      case '!=': {
        const equal = this.#equal(a, b, left, right);
        return equal instanceof Unknown ? equal : !equal;
      }
      case 'in':
        return this.#inValue(a, b, right.place);
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#ordered(operator, a, b, right.place);
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(operator, a, b, place);
    }
  }

  #arithmetic(operator: ArithmeticOperator, a: CelValue, b: CelValue, place: Place): Result {
    if (operator === '+' && typeof a === 'string' && typeof b === 'string') {
      this.#meter.chargeText(a.length + b.length, place);
      return a + b;
    }
    if (operator === '+' && a instanceof ListValue && b instanceof ListValue) {
      this.#meter.charge(a.size + b.size, place);
      return new ListValue([...a, ...b], false);
    }
    return settle(calculate(operator, a, b), place);
  }

  /** Equality at the top: values of different types are not comparable, unless one side is the word `null`. */
  #equal(a: CelValue, b: CelValue, left: Node, right: Node): boolean | Unknown {
    if (isNullLiteral(left) || isNullLiteral(right)) return a === null && b === null;
    const comparable = typeName(a) === typeName(b) || (isNumber(a) && isNumber(b));
    if (!comparable) return new Unknown(`${typeName(a)} cannot be compared with ${typeName(b)}`, right.place);
    return this.#same(a, b, right.place);
  }

  /** Equality inside containers: values of different types are different. */
  #same(a: CelValue, b: CelValue, place: Place, depth = 0): boolean {
    // Deeper than any JSON that Fettle stores: the work is refused rather than the stack exhausted.
    this.#meter.charge(depth > MAX_VALUE_DEPTH ? Number.POSITIVE_INFINITY : 1, place);
    if (isNumber(a) && isNumber(b)) return compareNumbers(a, b) === 0;
    if (a instanceof ListValue && b instanceof ListValue) {
      if (a.size !== b.size) return false;
      for (let index = 0; index < a.size; index += 1) {
        if (!this.#same(a.at(index) ?? null, b.at(index) ?? null, place, depth + 1)) return false;
      }
      return true;
    }
    if (a instanceof MapValue && b instanceof MapValue) {
      const keys = a.keys();
      this.#meter.charge(keys.length, place);
      if (keys.length !== b.size) return false;
      return keys.every((key) => {
        const other = b.get(key);
        return other !== undefined && this.#same(a.get(key) ?? null, other, place, depth + 1);
      });
    }
    return a === b;
  }

  #inLiteral(a: CelValue, left: Node, items: readonly Node[], scope: Scope): Result {
    let unknown: Unknown | undefined;
    for (const item of items) {
      const value = this.value(item, scope);
      const equal = value instanceof Unknown ? value : this.#equal(a, value, left, item);
      if (equal === true) return true;
      if (equal instanceof Unknown) unknown ??= equal;
    }
    return unknown ?? false;
  }

  #inValue(a: CelValue, container: CelValue, place: Place): Result {
    if (container instanceof MapValue) {
      return typeof a === 'string'
        ? container.get(a) !== undefined
        : new Unknown('the keys of a map are strings', place);
    }
    if (!(container instanceof ListValue))
      return new Unknown(`in takes a list or a map, this is ${typeName(container)}`, place);
    for (const item of container) if (this.#same(a, item, place)) return true;
    return false;
  }

  #ordered(operator: '<' | '<=' | '>' | '>=', a: CelValue, b: CelValue, place: Place): boolean | Unknown {
    let order: number;
    if (isNumber(a) && isNumber(b)) order = compareNumbers(a, b);
    else if (typeof a === 'string' && typeof b === 'string') order = compareStrings(a, b);
    else return new Unknown(`no order between ${typeName(a)} and ${typeName(b)}`, place);
    if (operator === '<') return order < 0;
    if (operator === '<=') return order <= 0;
    return operator === '>' ? order > 0 : order >= 0;
  }

  #call(node: Extract<Node, { op: 'call' }>, scope: Scope): Result {
    const args: CelValue[] = [];
    for (const argument of node.receiver === null ? node.args : [node.receiver, ...node.args]) {
      const value = this.value(argument, scope);
      if (value instanceof Unknown) return value;
      if (typeof value === 'string') this.#meter.chargeText(value.length, argument.place);
      if (value instanceof ListValue || value instanceof MapValue) this.#meter.charge(value.size, argument.place);
      args.push(value);
    }
    if (node.name === 'matches') return this.#matches(node, args[0] ?? null);
    const spec = functions.get(node.name);
    if (!spec) throw new FettleError({ code: 'internal', message: `the expression was not checked: ${node.name}()` });
    const wrong = misfit(node.name, spec, args);
    if (wrong !== undefined) return new Unknown(wrong, node.place);
    if (spec.extraSteps) this.#meter.charge(spec.extraSteps(args), node.place);
    return settle(spec.apply(args), node.place);
  }

  #matches(node: Extract<Node, { op: 'call' }>, subject: CelValue): Result {
    const pattern = this.patterns.get(node);
    if (!pattern) throw new FettleError({ code: 'internal', message: 'the expression was not checked: matches()' });
    if (typeof subject !== 'string') return new Unknown(`matches() takes string, not ${typeName(subject)}`, node.place);
    this.#meter.charge(Math.ceil((subject.length * (pattern.size + 10)) / 50), node.place);
    return pattern.matches(subject);
  }

  #macro(node: Extract<Node, { op: 'macro' }>, scope: Scope): Result {
    const range = this.value(node.range, scope);
    if (range instanceof Unknown) return range;
    if (!(range instanceof ListValue || range instanceof MapValue)) {
      return new Unknown(`${node.name}() goes over a list or a map's keys, this is ${typeName(range)}`, node.place);
    }
    const inner = new Map(scope);
    const taken: CelValue[] = [];
    let unknown: Unknown | undefined;
    for (const item of range instanceof ListValue ? range : range.keys()) {
      this.#meter.charge(1, node.place);
      inner.set(node.variable, item);
      const outcome = this.#iteration(node, item, inner, taken);
      if (outcome === 'decided') return node.name === 'exists';
      if (outcome instanceof Unknown) unknown ??= outcome;
    }
    if (unknown) return unknown;
    if (node.name === 'all' || node.name === 'exists') return node.name === 'all';
    return node.name === 'exists_one' ? taken.length === 1 : new ListValue(taken, false);
  }

  /** One element: `decided` where all() or exists() need no further one. */
  #iteration(
    node: Extract<Node, { op: 'macro' }>,
    item: CelValue,
    scope: Scope,
    taken: CelValue[],
  ): 'decided' | Unknown | undefined {
    if (node.filter) {
      const wanted = this.#bool(node.filter, scope);
      if (wanted !== true) return wanted === false ? undefined : wanted;
    }
    if (node.name === 'map') {
      const value = this.value(node.body, scope);
      if (value instanceof Unknown) return value;
      taken.push(value);
      return undefined;
    }
    const holds = this.#bool(node.body, scope);
    if (holds instanceof Unknown) return holds;
    if (node.name === 'all' || node.name === 'exists')
      return holds === (node.name === 'exists') ? 'decided' : undefined;
    if (holds) taken.push(item);
    return undefined;
  }
}

function isNullLiteral(node: Node): boolean {
  return node.op === 'literal' && node.value === null;
}

function lookUp(container: CelValue, key: CelValue): CelValue | undefined {
  if (container instanceof MapValue) return typeof key === 'string' ? container.get(key) : undefined;
  if (!(container instanceof ListValue) || typeof key !== 'bigint') return undefined;
  return key >= 0n && key < BigInt(container.size) ? container.at(Number(key)) : undefined;
}

function missing(container: CelValue, key: CelValue, place: Place): Unknown {
  const shown =
    typeof key === 'string' ? `"${key.slice(0, 60)}"` : typeof key === 'bigint' ? String(key) : typeName(key);
  if (container instanceof MapValue) return new Unknown(`${shown} is missing`, place);
  return new Unknown(`${typeName(container)} has no ${shown}`, place);
}

function settle(outcome: Outcome, place: Place): Result {
  return 'value' in outcome ? outcome.value : new Unknown(outcome.unknown, place);
}
