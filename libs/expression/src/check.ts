import { functions, type FunctionSpec } from './functions.js';
import { compilePattern, type Pattern } from './pattern.js';
import { closestName, invalidExpression, type Place } from './problem.js';
import { literalType, literalTypeOf, requireBool, requireNumber } from './require-type.js';
import { macroNames, type ArithmeticOperator, type BinaryOperator, type Node } from './syntax.js';
import {
  assetFields,
  boolType,
  describeType,
  doubleType,
  dynType,
  environmentVariables,
  intType,
  isComparable,
  isNumeric,
  joinTypes,
  listOf,
  mapOf,
  stringType,
  type ExpressionEnvironment,
  type StaticType,
} from './types.js';

type Variables = ReadonlyMap<string, StaticType>;

/** What checking finds out: the type of the whole and the compiled patterns of `matches()`. */
export interface Checked {
  readonly type: StaticType;
  readonly patterns: ReadonlyMap<Node, Pattern>;
}

/** Functions of the CEL specification that are left out, with the reason a person is given. */
const leftOut =
  /^(get(FullYear|Month|Date|DayOfMonth|DayOfWeek|DayOfYear|Hours|Minutes|Seconds|Milliseconds)|timestamp|duration)$/;

/** Finds every use of a name, field or operator that can never work. Throws FettleError `invalid-expression`. */
export function check(root: Node, environment: ExpressionEnvironment): Checked {
  const checker = new Checker(environment);
  return { type: checker.typeOf(root, environmentVariables[environment]), patterns: checker.patterns };
}

class Checker {
  readonly patterns = new Map<Node, Pattern>();

  constructor(private readonly environment: ExpressionEnvironment) {}

  typeOf(node: Node, variables: Variables): StaticType {
    switch (node.op) {
      case 'literal':
        return literalType(node.value);
      case 'variable':
        return this.#variable(node.name, node.place, variables);
      case 'list':
        return this.#list(node.items, variables);
      case 'map':
        return this.#map(node.entries, variables);
      case 'select':
        return this.#select(node.operand, node.field, node.place, variables);
      case 'index':
        return this.#index(node.operand, node.key, variables);
      case 'not':
        requireBool(this.typeOf(node.operand, variables), node.operand.place, 'the operand of !');
        return boolType;
      case 'negate':
        return this.#negative(node.operand, variables);
      case 'and':
      case 'or':
        for (const operand of node.operands) {
          requireBool(
            this.typeOf(operand, variables),
            operand.place,
            `an operand of ${node.op === 'and' ? '&&' : '||'}`,
          );
        }
        return boolType;
      case 'conditional':
        requireBool(this.typeOf(node.condition, variables), node.condition.place, 'the condition of ?:');
        return joinTypes(this.typeOf(node.whenTrue, variables), this.typeOf(node.whenFalse, variables));
      case 'has':
        this.#hasPath(node.path, variables);
        return boolType;
      case 'binary':
        return this.#binary(node.operator, node.left, node.right, variables);
      case 'call':
        return this.#call(node, variables);
      case 'macro':
        return this.#macro(node, variables);
    }
  }

  #variable(name: string, place: Place, variables: Variables): StaticType {
    const type = variables.get(name);
    if (type) return type;
    const suggestion =
      assetFields.has(name) && variables.has('asset') ? `asset.${name}` : closestName(name, variables.keys());
    const known = [...variables.keys()].join(', ');
    throw invalidExpression(place, `unknown variable "${name}"; known here: ${known}`, { text: name, suggestion });
  }

  #select(operand: Node, field: string, place: Place, variables: Variables): StaticType {
    const type = this.typeOf(operand, variables);
    if (type.kind === 'asset') {
      const fieldType = assetFields.get(field);
      if (fieldType) return fieldType;
      const suggestion = closestName(field, assetFields.keys());
      const known = [...assetFields.keys()].join(', ');
      throw invalidExpression(place, `unknown field "${field}" of asset; known: ${known}`, { text: field, suggestion });
    }
    if (type.kind === 'map') return type.element;
    if (type.kind === 'dyn') return dynType;
    throw invalidExpression(place, `${describeType(type)} has no field "${field}"`, { text: field });
  }

  #index(operand: Node, key: Node, variables: Variables): StaticType {
    const type = this.typeOf(operand, variables);
    if (type.kind === 'asset') {
      if (key.op !== 'literal' || typeof key.value !== 'string')
        throw invalidExpression(key.place, 'a field of asset must be named');
      return this.#select(operand, key.value, key.place, variables);
    }
    const keyType = this.typeOf(key, variables);
    const wanted = type.kind === 'map' ? stringType : type.kind === 'list' ? intType : undefined;
    const fits = wanted ? keyType.kind === wanted.kind : keyType.kind === 'string' || keyType.kind === 'int';
    if (!fits && keyType.kind !== 'dyn')
      throw invalidExpression(key.place, `a key must be a string and an index an int, not ${describeType(keyType)}`);
    if ('element' in type) return type.element;
    if (type.kind === 'dyn') return dynType;
    throw invalidExpression(operand.place, `${describeType(type)} has no elements`);
  }

  #list(items: readonly Node[], variables: Variables): StaticType {
    let element: StaticType | undefined;
    for (const item of items) {
      const type = this.typeOf(item, variables);
      element = element ? joinTypes(element, type) : type;
    }
    return listOf(element ?? dynType);
  }

  #hasPath(path: Node, variables: Variables): void {
    const type = this.typeOf(path, variables);
    if (type.kind === 'asset') throw invalidExpression(path.place, 'has() takes a field');
  }

  #map(entries: readonly (readonly [Node, Node])[], variables: Variables): StaticType {
    let element: StaticType | undefined;
    const seen = new Set<unknown>();
    for (const [key, value] of entries) {
      if (key.op === 'literal' && seen.has(key.value))
        throw invalidExpression(key.place, `the key "${String(key.value)}" occurs twice`);
      if (key.op === 'literal') seen.add(key.value);
      const keyType = this.typeOf(key, variables);
      if (keyType.kind !== 'string' && keyType.kind !== 'dyn')
        throw invalidExpression(key.place, `a key must be a string, not ${describeType(keyType)}`);
      const type = this.typeOf(value, variables);
      element = element ? joinTypes(element, type) : type;
    }
    return mapOf(element ?? dynType);
  }

  #negative(operand: Node, variables: Variables): StaticType {
    const type = this.typeOf(operand, variables);
    requireNumber(type, operand.place, '-');
    return type;
  }

  #binary(operator: BinaryOperator, left: Node, right: Node, variables: Variables): StaticType {
    const [a, b] = [this.typeOf(left, variables), this.typeOf(right, variables)];
    switch (operator) {
      case '==':
      case '!=':
        this.#comparable(a, b, left, right);
        return boolType;
      case 'in':
        this.#member(a, b, left, right);
        return boolType;
      case '<':
      case '<=':
      case '>':
      case '>=': {
        for (const [type, node] of [
          [a, left],
          [b, right],
        ] as const) {
          if (isNumeric(type) || type.kind === 'string' || type.kind === 'dyn') continue;
          throw invalidExpression(node.place, `${operator} takes numbers or strings, this is ${describeType(type)}`);
        }
        this.#comparable(a, b, left, right);
        return boolType;
      }
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(operator, [a, left], [b, right]);
    }
  }

  #arithmetic(
    operator: ArithmeticOperator,
    [a, left]: readonly [StaticType, Node],
    [b, right]: readonly [StaticType, Node],
  ): StaticType {
    const isJoinable = (type: StaticType): boolean => type.kind === 'string' || type.kind === 'list';
    if (operator === '+' && (isJoinable(a) || isJoinable(b))) {
      if (a.kind === b.kind) return joinTypes(a, b);
      if (a.kind === 'dyn') return b.kind === 'list' ? listOf(dynType) : b;
      if (b.kind === 'dyn') return a.kind === 'list' ? listOf(dynType) : a;
    }
    requireNumber(a, left.place, operator);
    requireNumber(b, right.place, operator);
    if (a.kind === 'dyn' || b.kind === 'dyn') return dynType;
    return a.kind === 'int' && b.kind === 'int' ? intType : doubleType;
  }

  #comparable(a: StaticType, b: StaticType, left: Node, right: Node): void {
    if (a.kind === 'null' && b.kind === 'null') return;
    if (a.kind === 'null' || b.kind === 'null') {
      const [other, node] = a.kind === 'null' ? [b, left] : [a, right];
      if (other.kind === 'dyn') return;
      throw invalidExpression(
        node.place,
        `${describeType(other)} is never null; whether it is missing is asked with !has(...)`,
        { text: 'null' },
      );
    }
    if (!isComparable(a, b))
      throw invalidExpression(right.place, `${describeType(a)} cannot be compared with ${describeType(b)}`);
  }

  #member(a: StaticType, b: StaticType, left: Node, right: Node): void {
    if (b.kind === 'map') {
      if (a.kind !== 'string' && a.kind !== 'dyn')
        throw invalidExpression(left.place, `the keys of a map are strings, this is ${describeType(a)}`);
      return;
    }
    if (b.kind !== 'list' && b.kind !== 'dyn')
      throw invalidExpression(right.place, `in takes a list or a map, this is ${describeType(b)}`);
    if (right.op === 'list') {
      for (const item of right.items) this.#comparable(a, literalTypeOf(item), left, item);
    } else if (b.kind === 'list' && !isComparable(a, b.element)) {
      throw invalidExpression(left.place, `${describeType(a)} cannot be in a list of ${b.element.kind}`);
    }
  }

  #call(node: Extract<Node, { op: 'call' }>, variables: Variables): StaticType {
    const { name, receiver, place } = node;
    const all = receiver === null ? node.args : [receiver, ...node.args];
    if (name === 'matches') return this.#matches(node, all, variables);
    const spec = functions.get(name);
    if (!spec) throw this.#unknownFunction(name, place);
    if (receiver === null ? !spec.call : !spec.method) {
      throw invalidExpression(
        place,
        receiver === null
          ? `${name}() is a method: write value.${name}(...)`
          : `${name}() is not a method: write ${name}(value)`,
        { text: name },
      );
    }
    const most = spec.parameters.length;
    const own = receiver === null ? 0 : 1;
    if (all.length > most || all.length < most - spec.optional) {
      throw invalidExpression(
        place,
        `${name}() takes ${most - own} argument${most - own === 1 ? '' : 's'}, not ${node.args.length}`,
        { text: name },
      );
    }
    for (const [index, argument] of all.entries()) this.#argument(name, spec, index, argument, variables);
    return spec.result;
  }

  #argument(name: string, spec: FunctionSpec, index: number, argument: Node, variables: Variables): void {
    const type = this.typeOf(argument, variables);
    const allowed = spec.parameters[index] ?? [];
    if (type.kind === 'dyn' || (type.kind !== 'asset' && allowed.includes(type.kind))) return;
    throw invalidExpression(argument.place, `${name}() takes ${allowed.join(' or ')}, this is ${describeType(type)}`);
  }

  #matches(node: Extract<Node, { op: 'call' }>, all: readonly Node[], variables: Variables): StaticType {
    if (this.environment === 'selector') {
      throw invalidExpression(
        node.place,
        'matches() is not supported in selectors; use startsWith(), endsWith(), contains() or in',
        { text: 'matches' },
      );
    }
    const [subject, pattern] = all;
    if (!subject || !pattern || all.length !== 2 || node.receiver === null) {
      throw invalidExpression(node.place, 'matches() is a method with one argument: value.matches("pattern")', {
        text: 'matches',
      });
    }
    const type = this.typeOf(subject, variables);
    if (type.kind !== 'string' && type.kind !== 'dyn')
      throw invalidExpression(subject.place, `matches() takes a string, this is ${describeType(type)}`);
    this.patterns.set(node, compilePattern(pattern));
    return boolType;
  }

  #unknownFunction(name: string, place: Place): Error {
    if (leftOut.test(name)) {
      return invalidExpression(
        place,
        `${name}() is left out of this language: its result depends on the host's clock and zones`,
        { text: name },
      );
    }
    const suggestion = closestName(name, [...functions.keys(), ...macroNames, 'has', 'matches']);
    return invalidExpression(place, `unknown function "${name}"`, { text: name, suggestion });
  }

  #macro(node: Extract<Node, { op: 'macro' }>, variables: Variables): StaticType {
    const range = this.typeOf(node.range, variables);
    if (range.kind !== 'list' && range.kind !== 'map' && range.kind !== 'dyn') {
      throw invalidExpression(
        node.range.place,
        `${node.name}() goes over a list or a map's keys, this is ${describeType(range)}`,
      );
    }
    const element = range.kind === 'list' ? range.element : range.kind === 'map' ? stringType : dynType;
    const inner = new Map(variables).set(node.variable, element);
    if (node.filter) requireBool(this.typeOf(node.filter, inner), node.filter.place, 'the condition of map()');
    const body = this.typeOf(node.body, inner);
    if (node.name === 'map') return listOf(body);
    requireBool(body, node.body.place, `the condition of ${node.name}()`);
    return node.name === 'filter' ? listOf(element) : boolType;
  }
}
