import { FettleError } from '@fettle/contracts';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/** A value that JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Deeper values are refused before the stack is at risk; documents are limited to far less when they are read. */
const MAX_JSON_DEPTH = 200;

/**
 * Canonical JSON text (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers and strings as ECMAScript writes
 * them. Members whose value is undefined are left out. Throws FettleError `limit-exceeded` for a value nested too deeply and
 * `invalid-request` for what JSON cannot hold.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > MAX_JSON_DEPTH) {
    throw new FettleError({
      code: 'limit-exceeded',
      message: `the value is nested more than ${MAX_JSON_DEPTH} levels deep`,
    });
  }
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new FettleError({ code: 'invalid-request', message: `${value} is not a JSON number` });
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(',')}]`;
  if (typeof value === 'object') {
    const record = value as Readonly<Record<string, unknown>>;
    const members = Object.keys(record)
      .filter((key) => record[key] !== undefined)
      // The default order of sort() is that of UTF-16 code units, which RFC 8785 section 3.2.3 asks for.
      .sort()
      .map((key) => `${JSON.stringify(key)}:${canonicalJson(record[key], depth + 1)}`);
    return `{${members.join(',')}}`;
  }
  throw new FettleError({ code: 'invalid-request', message: `a ${typeof value} is not a JSON value` });
}

/** `sha256:<64 hex digits>` of the canonical JSON of a value. */
export function digestOf(value: unknown): string {
  return `sha256:${bytesToHex(sha256(utf8ToBytes(canonicalJson(value))))}`;
}

/** Whether a value is an object with named members, not a list and not null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys that would reach an object's prototype in careless code; they are refused in documents and inputs. */
export const forbiddenKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor']);

/** A path inside a document: names of members and indexes of items. */
export type JsonPath = readonly (string | number)[];

/** `spec.steps[0].with["a b"]`; the empty path is the empty text. */
export function formatPath(path: JsonPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (!/^[A-Za-z_$][\w$-]*$/.test(part)) text += `[${JSON.stringify(part)}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

/** Length in bytes (UTF-8) of a value written as JSON, without white space. */
export function jsonSizeBytes(value: JsonValue): number {
  let bytes = 0;
  // Counted by hand: a TextEncoder is not part of every sandbox the engine runs in.
  for (const character of canonicalJson(value)) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
