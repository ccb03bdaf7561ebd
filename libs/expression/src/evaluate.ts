import type { SourcePosition } from '@fettle/contracts';
import { Evaluator } from './evaluator.js';
import type { Expression } from './expression.js';
import { Unknown } from './meter.js';
import { describePlace, positionOf } from './problem.js';
import { assetTextFields, type AssetView } from './types.js';
import { MapValue, fromCel, toCel, type CelValue } from './values.js';

/** Values of the variables of an environment, as JSON; `asset` is an AssetView. Absent variables are unknown. */
export type Variables = Readonly<Record<string, unknown>>;

/** What evaluation found: a JSON value, or why there is none. */
export type Evaluation =
  | { readonly known: true; readonly value: unknown }
  | { readonly known: false; readonly reason: string; readonly position: SourcePosition };

/** Truth of a condition: `unknown` where a value it depends on is missing or of the wrong type. */
export type Truth = true | false | 'unknown';

/**
 * Evaluates an expression over JSON values. A missing or wrongly typed value makes the result unknown, it throws nothing.
 * Throws FettleError `limit-exceeded` when the work is out of bounds and `unknown-value` for a result that JSON cannot hold.
 */
export function evaluate(expression: Expression, variables: Variables): Evaluation {
  const value = run(expression, variables);
  if (!(value instanceof Unknown)) return { known: true, value: fromCel(value) };
  return {
    known: false,
    reason: `${value.reason} (at ${describePlace(value.place)})`,
    position: positionOf(value.place),
  };
}

/** Like `evaluate` for conditions: a result that is not a bool is unknown. */
export function evaluateCondition(expression: Expression, variables: Variables): Truth {
  const value = run(expression, variables);
  return typeof value === 'boolean' ? value : 'unknown';
}

function run(expression: Expression, variables: Variables): CelValue | Unknown {
  const scope = new Map<string, CelValue>();
  for (const [name, value] of Object.entries(variables)) {
    if (value !== undefined) scope.set(name, name === 'asset' ? assetValue(value as AssetView) : toCel(value));
  }
  return new Evaluator(expression.patterns).value(expression.root, scope);
}

/** The record of an asset without its missing fields. */
function assetValue(view: AssetView): MapValue {
  const entries = new Map<string, CelValue>();
  for (const name of assetTextFields) {
    const text = view[name];
    if (typeof text === 'string') entries.set(name, text);
  }
  entries.set('labels', new MapValue(view.labels));
  entries.set('facts', new MapValue(view.facts));
  entries.set('quarantined', view.quarantined);
  return new MapValue(entries);
}
