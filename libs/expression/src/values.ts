import { FettleError } from '@fettle/contracts';

/**
 * A value of the language. `int` is a bigint and `double` a number; both are numbers to comparison. Containers are read
 * through `ListValue` and `MapValue`, so that a JSON document need not be copied before it is looked at.
 */
export type CelValue = null | boolean | bigint | number | string | ListValue | MapValue;

/** Containers deeper than this are not JSON that Fettle stores; converting or comparing them is refused. */
export const MAX_VALUE_DEPTH = 200;

export class ListValue {
  readonly #items: readonly unknown[];
  readonly #isJson: boolean;

  constructor(items: readonly unknown[], isJson: boolean) {
    this.#items = items;
    this.#isJson = isJson;
  }

  get size(): number {
    return this.#items.length;
  }

  at(index: number): CelValue | undefined {
    const item = this.#items[index];
    return item === undefined ? undefined : this.#isJson ? toCel(item) : (item as CelValue);
  }

  *[Symbol.iterator](): Generator<CelValue> {
    for (let index = 0; index < this.#items.length; index += 1) yield this.at(index) ?? null;
  }
}

export class MapValue {
  readonly #entries: Readonly<Record<string, unknown>> | ReadonlyMap<string, CelValue>;

  constructor(entries: Readonly<Record<string, unknown>> | ReadonlyMap<string, CelValue>) {
    this.#entries = entries;
  }

  get size(): number {
    return this.#entries instanceof Map ? this.#entries.size : this.keys().length;
  }

  /** Own entries only: `constructor` or `__proto__` are keys like any other, found only where somebody put them. */
  get(key: string): CelValue | undefined {
    if (this.#entries instanceof Map) return (this.#entries as ReadonlyMap<string, CelValue>).get(key);
    const record = this.#entries as Readonly<Record<string, unknown>>;
    return Object.hasOwn(record, key) && record[key] !== undefined ? toCel(record[key]) : undefined;
  }

  keys(): readonly string[] {
    if (this.#entries instanceof Map) return [...(this.#entries as ReadonlyMap<string, CelValue>).keys()];
    return Object.keys(this.#entries).filter(
      (key) => (this.#entries as Readonly<Record<string, unknown>>)[key] !== undefined,
    );
  }
}

/** The value of a JSON value: a whole number is an `int`, any other a `double`. Containers are not copied. */
export function toCel(value: unknown): CelValue {
  switch (typeof value) {
    case 'boolean':
    case 'string':
    case 'bigint':
      return value;
    case 'number':
      return Number.isSafeInteger(value) ? BigInt(value) : value;
    case 'object':
      if (value === null || value instanceof ListValue || value instanceof MapValue) return value;
      if (Array.isArray(value)) return new ListValue(value, true);
      return new MapValue(value as Record<string, unknown>);
    case 'undefined':
      return null;
    default:
      throw new FettleError({ code: 'invalid-request', message: `a ${typeof value} is not a JSON value` });
  }
}

/** Values and hundreds of characters that one conversion to JSON may write. */
const MAX_JSON_UNITS = 500_000;

/** The JSON value of a value. Throws FettleError `unknown-value` for what JSON cannot hold exactly, or what is too large. */
export function fromCel(value: CelValue): unknown {
  let left = MAX_JSON_UNITS;
  const write = (part: CelValue, depth: number): unknown => {
    left -= 1 + (typeof part === 'string' ? Math.floor(part.length / 100) : 0);
    if (left < 0) throw notJson('it is too large');
    if (depth > MAX_VALUE_DEPTH) throw notJson(`it is nested more than ${MAX_VALUE_DEPTH} levels deep`);
    if (typeof part === 'bigint' && !Number.isSafeInteger(Number(part)))
      throw notJson(`the integer ${part} is beyond 2^53`);
    if (typeof part === 'bigint') return Number(part);
    if (typeof part === 'number' && !Number.isFinite(part)) throw notJson(`${part} is not a JSON number`);
    if (part instanceof ListValue) return Array.from(part, (item) => write(item, depth + 1));
    if (!(part instanceof MapValue)) return part;
    // fromEntries defines own properties, so a key `__proto__` stays a key.
    return Object.fromEntries(part.keys().map((key) => [key, write(part.get(key) ?? null, depth + 1)]));
  };
  return write(value, 0);
}

function notJson(why: string): FettleError {
  return new FettleError({ code: 'unknown-value', message: `the value cannot be written as JSON: ${why}` });
}

export type TypeName = 'null' | 'bool' | 'int' | 'double' | 'string' | 'list' | 'map';

export function typeName(value: CelValue): TypeName {
  if (value === null) return 'null';
  if (value instanceof ListValue) return 'list';
  if (value instanceof MapValue) return 'map';
  const names = { boolean: 'bool', bigint: 'int', number: 'double', string: 'string' } as const;
  return names[typeof value as keyof typeof names];
}

export function isNumber(value: CelValue): value is number | bigint {
  return typeof value === 'bigint' || typeof value === 'number';
}

/**
 * Below zero, zero or above zero, or NaN where a NaN is involved. A double counts as the shortest decimal that reads back as
 * it (what JSON writes and Postgres stores), so that comparing with an int beyond 2^53 agrees with the numeric of Postgres.
 */
export function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (typeof a === typeof b || (isSmall(a) && isSmall(b)))
    return a < b ? -1 : a > b ? 1 : Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : 0;
  if (typeof a === 'number') return -compareNumbers(b, a);
  const double = Number(b);
  if (!Number.isFinite(double)) return Number.isNaN(double) ? Number.NaN : double > 0 ? -1 : 1;
  const whole = decimalInteger(double);
  // A fraction only occurs below 2^53, where an int this large is already on one side of it.
  return a < whole ? -1 : a > whole ? 1 : 0;
}

function isSmall(value: number | bigint): boolean {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
}

/** The shortest decimal of a double, without its fraction. */
function decimalInteger(double: number): bigint {
  const [mantissa = '0', exponent = '0'] = String(double).split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const shift = Number(exponent);
  if (shift <= 0) return BigInt(shift === 0 ? whole : 0);
  return BigInt(whole + fraction.slice(0, shift).padEnd(shift, '0'));
}

/** Order by code point, which is the byte order of UTF-8 and of Postgres' collation "C". */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    // Surrogates (D800-DFFF) stand for code points above every other unit, E000-FFFF included.
    if (x !== y) return (x >= 0xd800 && x <= 0xdfff ? x + 0x10000 : x) - (y >= 0xd800 && y <= 0xdfff ? y + 0x10000 : y);
  }
  return a.length - b.length;
}

/** Code points of a string. */
export function stringSize(text: string): number {
  let size = 0;
  for (let index = 0; index < text.length; index += 1) {
    if ((text.codePointAt(index) ?? 0) > 0xffff) index += 1;
    size += 1;
  }
  return size;
}
