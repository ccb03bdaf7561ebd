import { Client, type QueryConfig } from 'pg';

/** More texts than this are made up while running; those after it are sent as they are. */
const MAX_PREPARED = 1000;
const names = new Map<string, string>();

/** Absent: the text is not to be prepared. */
function nameOf(text: string): string | undefined {
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_PREPARED) return known;
  const name = `fettle_${names.size}`;
  names.set(text, name);
  return name;
}

/**
 * A connection that has statements with parameters prepared, once each: a service says the same few hundred sentences over and over,
 * and to parse and plan one costs more than to run it. Postgres plans anew for given values where that is cheaper by its own reckoning.
 */
export class PreparingClient extends Client {
  override query(...given: unknown[]): never {
    const [text, values, ...rest] = given;
    const name = typeof text === 'string' && Array.isArray(values) && values.length > 0 ? nameOf(text) : undefined;
    const query = super.query.bind(this) as (...args: unknown[]) => never;
    return name === undefined ? query(...given) : query({ name, text, values }, ...rest);
  }
}
