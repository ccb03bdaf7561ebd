/**
 * The same JSON value with every text as `jsonb` can hold it: U+0000 and halves of surrogate pairs become U+FFFD (PostgreSQL
 * manual, 8.14 "JSON Types"). One such character in one host's answer would otherwise fail the statement that writes them all.
 */
export function storableJson<Value>(value: Value): Value {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\0', '\uFFFD') as Value;
  if (Array.isArray(value)) return value.map((element: unknown) => storableJson(element)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, element]) => [storableJson(key), storableJson<unknown>(element)]),
  ) as Value;
}
