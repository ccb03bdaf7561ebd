import { invalidExpression, type Place } from './problem.js';
import type { Literal, Node } from './syntax.js';
import {
  boolType,
  describeType,
  doubleType,
  dynType,
  intType,
  isNumeric,
  nullType,
  stringType,
  type StaticType,
} from './types.js';

/** Requires that a type can be a bool. */
export function requireBool(type: StaticType, place: Place, what: string): void {
  if (type.kind !== 'bool' && type.kind !== 'dyn')
    throw invalidExpression(place, `${what} must be a bool, this is ${describeType(type)}`);
}

/** Requires that a type can be a number. */
export function requireNumber(type: StaticType, place: Place, operator: string): void {
  if (isNumeric(type) || type.kind === 'dyn') return;
  throw invalidExpression(place, `${operator} takes numbers, this is ${describeType(type)}`);
}

export function literalType(value: Literal): StaticType {
  if (value === null) return nullType;
  if (typeof value === 'boolean') return boolType;
  if (typeof value === 'bigint') return intType;
  return typeof value === 'number' ? doubleType : stringType;
}

/** Only literals are compared one by one with the left side of `in`; the rest is known at evaluation. */
export function literalTypeOf(node: Node): StaticType {
  return node.op === 'literal' ? literalType(node.value) : dynType;
}
