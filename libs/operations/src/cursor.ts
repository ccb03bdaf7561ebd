import { FettleError } from '@fettle/contracts';
import type { Page } from '@fettle/contracts';

/** An opaque cursor of a keyset page: the key of the last item, as base64url JSON. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key), 'utf8').toString('base64url');
}

/**
 * Reads a cursor that `encodeCursor` made; `undefined` (the first page) gives null.
 * @throws FettleError `invalid-cursor` for anything but `parts.length` values of the types named.
 */
export function decodeCursor<const Parts extends readonly ('string' | 'number' | 'uuid')[]>(
  cursor: string | undefined,
  parts: Parts,
): { readonly [Index in keyof Parts]: Parts[Index] extends 'number' ? number : string } | null {
  if (cursor === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw invalidCursor();
  }
  if (!Array.isArray(value) || value.length !== parts.length) throw invalidCursor();
  const fits = parts.every((part, index) => isPart(part, (value as unknown[])[index]));
  if (!fits) throw invalidCursor();
  return value as unknown as { readonly [Index in keyof Parts]: Parts[Index] extends 'number' ? number : string };
}

/** Makes a page of rows that were read with one row more than `limit`, which tells whether there is a next page. */
export function pageFrom<Row, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
  keyOf: (row: Row) => readonly (string | number)[],
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next = rows.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null;
  return { items: shown.map(toItem), next };
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function isPart(part: 'string' | 'number' | 'uuid', value: unknown): boolean {
  if (part === 'number')
    return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 31 - 1;
  if (typeof value !== 'string' || value.length > 300 || /[\0\p{Surrogate}]/u.test(value)) return false;
  return part === 'string' || uuid.test(value);
}

function invalidCursor(): FettleError {
  return new FettleError({
    code: 'invalid-cursor',
    message: 'The cursor "after" is not one that this list gave.',
    remedy: 'Pass the value of "next" of the page before, unchanged, or leave "after" out.',
  });
}
