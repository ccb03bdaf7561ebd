import { ListValue, type MapValue, isNumber, stringSize, typeName, type CelValue, type TypeName } from './values.js';
import { boolType, doubleType, intType, listOf, stringType, type StaticType } from './types.js';

/** What a function call yields; a text instead of a value says why there is none. */
export type Outcome = { readonly value: CelValue } | { readonly unknown: string };

export interface FunctionSpec {
  /** `size(x)` is a call, `x.size()` a method. */
  readonly call: boolean;
  readonly method: boolean;
  /** Types each argument may have, the receiver first; a shorter argument list may leave out the `optional` last ones. */
  readonly parameters: readonly (readonly TypeName[])[];
  readonly optional: number;
  readonly result: StaticType;
  /** Usable in selectors, because SQL can say the same. */
  readonly inSelectors: boolean;
  readonly apply: (args: readonly CelValue[]) => Outcome;
  /** Units of work beyond reading the arguments, where the result can be larger than they are; charged before `apply`. */
  readonly extraSteps?: (args: readonly CelValue[]) => number;
}

const text: readonly TypeName[] = ['string'];

function textMethod(
  parameterCount: number,
  result: StaticType,
  apply: (...texts: string[]) => CelValue,
  inSelectors = false,
): FunctionSpec {
  return {
    call: false,
    method: true,
    parameters: Array.from({ length: parameterCount }, () => text),
    optional: 0,
    result,
    inSelectors,
    apply: (args) => ({ value: apply(...(args as string[])) }),
  };
}

function conversion(from: readonly TypeName[], result: StaticType, apply: (value: CelValue) => Outcome): FunctionSpec {
  const first = (args: readonly CelValue[]): Outcome => apply(args[0] ?? null);
  return { call: true, method: false, parameters: [from], optional: 0, result, inSelectors: false, apply: first };
}

const ascii = (value: string, from: RegExp, change: (letter: string) => string): string => value.replace(from, change);

/** All functions of the language but `has`, `matches` and the macros, which are syntax. */
export const functions: ReadonlyMap<string, FunctionSpec> = new Map<string, FunctionSpec>([
  [
    'size',
    {
      call: true,
      method: true,
      parameters: [['string', 'list', 'map']],
      optional: 0,
      result: intType,
      inSelectors: true,
      apply: ([value]) => ({
        value: BigInt(typeof value === 'string' ? stringSize(value) : (value as ListValue | MapValue).size),
      }),
    },
  ],
  ['startsWith', textMethod(2, boolType, (value, prefix) => (value ?? '').startsWith(prefix ?? ''), true)],
  ['endsWith', textMethod(2, boolType, (value, suffix) => (value ?? '').endsWith(suffix ?? ''), true)],
  ['contains', textMethod(2, boolType, (value, part) => (value ?? '').includes(part ?? ''), true)],
  [
    'lowerAscii',
    textMethod(1, stringType, (value) => ascii(value ?? '', /[A-Z]+/g, (letters) => letters.toLowerCase())),
  ],
  [
    'upperAscii',
    textMethod(1, stringType, (value) => ascii(value ?? '', /[a-z]+/g, (letters) => letters.toUpperCase())),
  ],
  ['trim', textMethod(1, stringType, (value) => (value ?? '').trim())],
  [
    'split',
    {
      ...textMethod(
        2,
        listOf(stringType),
        (value, separator) => new ListValue((value ?? '').split(separator ?? ''), false),
      ),
      extraSteps: ([value]) => (typeof value === 'string' ? value.length : 0),
    },
  ],
  [
    'join',
    {
      call: false,
      method: true,
      parameters: [['list'], text],
      optional: 1,
      result: stringType,
      inSelectors: false,
      apply: ([list, separator]) => {
        const items = [...(list as ListValue)];
        if (!items.every((item) => typeof item === 'string')) return { unknown: 'join() takes a list of strings' };
        return { value: items.join(typeof separator === 'string' ? separator : '') };
      },
      extraSteps: ([list, separator]) => {
        const between = typeof separator === 'string' ? separator.length : 0;
        let chars = 0;
        for (const item of list as ListValue) chars += between + (typeof item === 'string' ? item.length : 0);
        return Math.floor(chars / 100);
      },
    },
  ],
  ['string', conversion(['string', 'int', 'double', 'bool'], stringType, (value) => ({ value: scalarText(value) }))],
  ['int', conversion(['int', 'double', 'string'], intType, toInt)],
  ['double', conversion(['int', 'double', 'string'], doubleType, toDouble)],
  [
    'bool',
    conversion(['bool', 'string'], boolType, (value) => {
      if (typeof value === 'boolean') return { value };
      return value === 'true' || value === 'false'
        ? { value: value === 'true' }
        : { unknown: 'the string is neither "true" nor "false"' };
    }),
  ],
]);

export const INT_RANGE = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const;

export function inIntRange(value: bigint): boolean {
  return value >= INT_RANGE.min && value <= INT_RANGE.max;
}

/** The text of a string, number or bool, as JSON writes it. */
function scalarText(value: CelValue): string {
  return typeof value === 'object' ? '' : String(value);
}

function toInt(value: CelValue): Outcome {
  if (typeof value === 'string' && !/^[+-]?\d{1,19}$/.test(value))
    return { unknown: 'the string is not a whole number' };
  if (typeof value === 'number' && !Number.isFinite(value)) return { unknown: 'the double is not finite' };
  const whole = typeof value === 'number' ? BigInt(Math.trunc(value)) : BigInt(scalarText(value).replace(/^\+/, ''));
  return inIntRange(whole) ? { value: whole } : { unknown: 'the number does not fit in 64 bits' };
}

function toDouble(value: CelValue): Outcome {
  if (typeof value === 'string' && !/^[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?$/.test(value)) {
    return { unknown: 'the string is not a number' };
  }
  const double = Number(value);
  return Number.isFinite(double) ? { value: double } : { unknown: 'the number does not fit in a double' };
}

/** The reason why the arguments do not fit, or undefined where they do. */
export function misfit(name: string, spec: FunctionSpec, args: readonly CelValue[]): string | undefined {
  for (const [index, value] of args.entries()) {
    const allowed = spec.parameters[index];
    if (allowed && !allowed.includes(typeName(value)))
      return `${name}() takes ${allowed.join(' or ')}, not ${typeName(value)}`;
  }
  return undefined;
}

/** `+ - * / %` of two numbers: ints stay ints (64 bits), an int beside a double becomes one. */
export function calculate(operator: '+' | '-' | '*' | '/' | '%', a: CelValue, b: CelValue): Outcome {
  if (!isNumber(a) || !isNumber(b)) return { unknown: `no ${operator} of ${typeName(a)} and ${typeName(b)}` };
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    if ((operator === '/' || operator === '%') && b === 0n) return { unknown: 'division by zero' };
    const value = { '+': () => a + b, '-': () => a - b, '*': () => a * b, '/': () => a / b, '%': () => a % b }[
      operator
    ]();
    return inIntRange(value) ? { value } : { unknown: 'the result does not fit in 64 bits' };
  }
  if (operator === '%') return { unknown: 'no % of doubles' };
  const [x, y] = [Number(a), Number(b)];
  const value = { '+': x + y, '-': x - y, '*': x * y, '/': x / y }[operator];
  return Number.isFinite(value) ? { value } : { unknown: 'the result is not a finite number' };
}
