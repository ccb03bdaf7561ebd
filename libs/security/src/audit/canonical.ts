import { FettleError } from '@fettle/contracts';

/** A value that JSON can carry. Properties whose value is undefined count as absent, as in `JSON.stringify`. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue | undefined };

const maxDepth = 64;

/**
 * Canonical JSON text (RFC 8785, JCS): no white space, properties sorted by UTF-16 code units, numbers and strings as
 * ECMAScript writes them. So one value has one encoding, and one hash. Throws `invalid-request` on what JSON cannot carry
 * faithfully: NaN, infinities, bigint, lone surrogates, functions, class instances (a Date too), nesting beyond 64.
 */
export function canonicalJson(value: JsonValue): string {
  return encode(value, '$', 0);
}

/** `canonicalJson` in UTF-8, as RFC 8785 section 3.2.4 asks. */
export function canonicalBytes(value: JsonValue): Buffer {
  return Buffer.from(canonicalJson(value), 'utf8');
}

function encode(value: unknown, path: string, depth: number): string {
  if (depth > maxDepth) throw notCanonical(path.slice(0, 200), `nesting is deeper than ${maxDepth}`);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return encodeString(value, path);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw notCanonical(path, `${value} is not a JSON number`);
    // RFC 8785 section 3.2.2.3 defines numbers as ECMAScript's own serialization; it gives 0 for -0.
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    // Array.from, not map: a hole must be refused as undefined is, not skipped.
    return `[${Array.from(value as unknown[], (item, index) => encode(item, `${path}[${index}]`, depth + 1)).join(',')}]`;
  }
  if (isPlainObject(value)) {
    const members: string[] = [];
    // Default sort compares UTF-16 code units, which is what RFC 8785 section 3.2.3 asks.
    for (const key of Object.keys(value).sort()) {
      const member = value[key];
      if (member === undefined) continue;
      members.push(`${encodeString(key, path)}:${encode(member, `${path}.${key}`, depth + 1)}`);
    }
    return `{${members.join(',')}}`;
  }
  throw notCanonical(path, `a value of type ${typeof value} has no canonical JSON`);
}

function encodeString(text: string, path: string): string {
  if (/\p{Surrogate}/u.test(text)) throw notCanonical(path, 'text with a lone surrogate has no UTF-8');
  return JSON.stringify(text);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Object.prototype of another realm (a VM context) has no prototype of its own either.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function notCanonical(path: string, why: string): FettleError {
  return new FettleError({ code: 'invalid-request', message: `${path}: ${why}`, detail: { path } });
}
