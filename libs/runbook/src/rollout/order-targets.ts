import { FettleError } from '@fettle/contracts';
import { evaluate, parseExpression, type AssetView, type Expression } from '@fettle/expression';

/** The value that a target is ordered by; null: it cannot be determined, or is nothing that has an order. */
export type OrderKey = boolean | number | string | null;

/** Text is compared by so many of its first characters: the keys of all targets of a run are in memory at once. */
const MAX_KEY_CHARACTERS = 256;

/** Parses `rollout.orderBy`. Throws FettleError `invalid-expression`. */
export function compileOrder(source: string): Expression {
  return parseExpression(source, 'selector', { origin: 'spec.rollout.orderBy' });
}

/** The value of an order for one asset. Throws FettleError `limit-exceeded` when the work is out of bounds. */
export function orderKey(order: Expression, asset: AssetView): OrderKey {
  const value = valueOf(order, asset);
  if (typeof value === 'string') return value.slice(0, MAX_KEY_CHARACTERS);
  return typeof value === 'boolean' || typeof value === 'number' ? value : null;
}

function valueOf(order: Expression, asset: AssetView): unknown {
  try {
    const found = evaluate(order, { asset });
    return found.known ? found.value : null;
  } catch (error) {
    // Infinity and integers beyond 2^53 are values, but none that JSON has.
    if (error instanceof FettleError && error.code === 'unknown-value') return null;
    throw error;
  }
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
