import { FettleError } from '@fettle/contracts';
import { evaluate, parseExpression, renderTemplate, type Variables } from '@fettle/expression';
import { jsonSizeBytes, type JsonValue } from '../json.js';
import type { ForEachNode } from './program-nodes.js';

/** Items of one loop. */
export const MAX_ITEMS = 1000;
/** All items of one loop as JSON: they live in the history of the workflow. */
export const MAX_ITEMS_BYTES = 65_536;

export interface Items {
  readonly items: readonly JsonValue[];
  /** What names each iteration in paths; each once. */
  readonly keys: readonly string[];
}

/**
 * What a loop goes over. An iteration is named by its item where that is a text or number of the plain kind and no other item has the
 * same, else by its place from 0. Throws FettleError `invalid-items` and `limit-exceeded`.
 */
export function readItems(node: Pick<ForEachNode, 'items' | 'id'>, variables: Variables): Items {
  const value = typeof node.items === 'string' ? listOf(node.items, variables) : renderedList(node.items, variables);
  if (value.length > MAX_ITEMS) {
    throw new FettleError({
      code: 'limit-exceeded',
      message: `"${node.id}" goes over ${value.length} items, more than ${MAX_ITEMS}`,
      remedy: 'Use targets and a rollout for large numbers.',
    });
  }
  const sizeBytes = jsonSizeBytes(value);
  if (sizeBytes > MAX_ITEMS_BYTES) {
    const message = `the items of "${node.id}" have ${sizeBytes} bytes as JSON, more than ${MAX_ITEMS_BYTES}`;
    throw new FettleError({ code: 'limit-exceeded', message, remedy: 'Go over names and look the rest up inside.' });
  }
  return { items: value, keys: keysOf(value) };
}

function listOf(source: string, variables: Variables): readonly JsonValue[] {
  const outcome = evaluate(parseExpression(source, 'run', { origin: 'forEach.items' }), variables);
  if (outcome.known && Array.isArray(outcome.value)) return outcome.value as JsonValue[];
  const reason = outcome.known ? 'its value is not a list' : outcome.reason;
  throw new FettleError({ code: 'invalid-items', message: `\`${source}\` gives nothing to go over: ${reason}` });
}

function renderedList(items: readonly JsonValue[], variables: Variables): readonly JsonValue[] {
  return renderTemplate(items, 'run', variables) as JsonValue[];
}

function keysOf(items: readonly JsonValue[]): readonly string[] {
  const names = items.map((item) => (typeof item === 'string' || typeof item === 'number' ? String(item) : ''));
  const isPlain = names.every((name) => /^[A-Za-z0-9_.:@-]{1,64}$/.test(name));
  return isPlain && new Set(names).size === names.length ? names : items.map((_, index) => String(index));
}
