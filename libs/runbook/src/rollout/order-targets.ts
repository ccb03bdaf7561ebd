import { evaluate, parseExpression, type AssetView, type Expression } from '@fettle/expression';

/** The value that a target is ordered by; null: it cannot be determined, or is nothing that has an order. */
export type OrderKey = boolean | number | bigint | string | null;

/** Text is compared by so many of its first characters: the keys of all targets of a run are in memory at once. */
const MAX_KEY_CHARACTERS = 256;

/** Parses `rollout.orderBy`. Throws FettleError `invalid-expression`. */
export function compileOrder(source: string): Expression {
  return parseExpression(source, 'selector', { origin: 'spec.rollout.orderBy' });
}

/** The value of an order for one asset. */
export function orderKey(order: Expression, asset: AssetView): OrderKey {
  const found = evaluate(order, { asset });
  if (!found.known) return null;
  const { value } = found;
  if (typeof value === 'number') return Number.isNaN(value) ? null : value;
  if (typeof value === 'string') return value.slice(0, MAX_KEY_CHARACTERS);
  return typeof value === 'boolean' || typeof value === 'bigint' ? value : null;
}

/** Values of different types do not compare: they go by type, and what is not determined is last. */
function rankOf(key: OrderKey): number {
  if (key === null) return 3;
  if (typeof key === 'boolean') return 0;
  return typeof key === 'string' ? 2 : 1;
}

export interface OrderedTarget {
  readonly key: OrderKey;
  readonly name: string;
}

/** Order of dispatch: by key, ties by name. Text goes by its UTF-16 code units, so that no locale decides. */
export function compareTargets(a: OrderedTarget, b: OrderedTarget): number {
  const rank = rankOf(a.key) - rankOf(b.key);
  if (rank !== 0) return rank;
  if (a.key !== null && b.key !== null && a.key !== b.key) {
    if (a.key < b.key) return -1;
    if (a.key > b.key) return 1;
  }
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
