import { Client } from 'pg';

/** Each connection keeps a plan for each; texts after these are sent as they are. */
const MAX_PREPARED = 1000;
const names = new Map<string, string>();
/** Met once: a text that somebody's selector made may never come again. */
const met = new Set<string>();

/** Absent: the text is not to be prepared. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_PREPARED) return known;
  if (!met.delete(text)) {
    if (met.size >= MAX_PREPARED) met.clear();
    met.add(text);
    return undefined;
  }
  const name = `fettle_${names.size}`;
  names.set(text, name);
  return name;
}

/**
 * As pg itself would send it (`prepareValue`). It would do so after it has begun with the statement, and where the value cannot be
 * written would take the statement for prepared that it has just closed.
 */
function sendable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value;
  return Array.isArray(value) ? value.map(sendable) : JSON.stringify(value);
}

/**
 * A connection that has statements with parameters prepared when they come again, once each: a service says the same few hundred sentences over and over,
 * and to parse and plan one costs more than to run it. Postgres plans anew for given values where that is cheaper by its own reckoning.
 */
export class PreparingClient extends Client {
  override query(...given: unknown[]): never {
    const [text, values, ...rest] = given;
    const name = typeof text === 'string' && Array.isArray(values) && values.length > 0 ? nameOf(text) : undefined;
    const query = super.query.bind(this) as (...args: unknown[]) => never;
    return name === undefined
      ? query(...given)
      : query({ name, text, values: (values as unknown[]).map(sendable) }, ...rest);
  }
}
