import { FettleError, type Finding } from '@fettle/contracts';
import { findExpressions, findReferences, parseExpression, type Expression } from '@fettle/expression';
import type { JsonPath } from '../json.js';
import { checkExpression, expressionFinding, type ExpressionPlace } from './expression-findings.js';
import type { KnownStep } from './known-steps.js';
import { membersOf, report, type Reporter, type RunbookContext } from './runbook-context.js';
import { referenceFindings, wholeReference, type ReferenceScope } from './step-references.js';
import type { StepScope } from './step-scope.js';

/** Whose expression it is, and what it may read. */
export interface Reader {
  /** Null: the runbook itself. */
  readonly known: KnownStep | null;
  readonly scope: StepScope;
  readonly level: 'run' | 'target';
  /** The action whose `result` is read, where no step is known. */
  readonly looked?: ReferenceScope['looked'];
}

type Use = ReferenceScope['use'];

/** A condition: CEL that yields true or false, without `${{ }}`. */
export function checkCondition(
  source: string | undefined,
  path: JsonPath,
  reader: Reader,
  context: RunbookContext,
  use: Use = 'value',
): void {
  checkPlain(source, path, reader, context, { use, expect: 'bool' });
}

/** CEL without `${{ }}`; null where it is not right. */
export function checkPlain(
  source: string | undefined,
  path: JsonPath,
  reader: Reader,
  context: RunbookContext,
  options: { readonly use: Use; readonly expect?: 'bool' | undefined },
): Expression | null {
  if (source === undefined || isWrapped(source, path, context, options.expect)) return null;
  return checkOne({ places: context.places, path, offset: 0, source }, reader, context, options);
}

/** Reports plain CEL that is written inside of `${{ }}`; whether it is. */
export function isWrapped(source: string, path: JsonPath, reporter: Reporter, expect?: 'bool'): boolean {
  const template = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(source);
  if (template === null) return false;
  const what = expect === 'bool' ? 'a condition is' : 'this is';
  const message = `${what} an expression already; write it without \${{ }}`;
  report(reporter, 'invalid-expression', message, path, { suggestion: template[1]?.trim() });
  return true;
}

/** Name -> CEL over `result`. */
export function checkOutputs(
  outputs: Readonly<Record<string, string>> | undefined,
  base: JsonPath,
  reader: Reader,
  context: RunbookContext,
): void {
  for (const [name, source] of Object.entries(outputs ?? {})) {
    const place = { places: context.places, path: [...base, 'outputs', name], offset: 0, source };
    checkOne(place, reader, context, { use: 'outputs' });
  }
}

/** Every `${{ }}` in a value. */
export function checkTemplates(value: unknown, path: JsonPath, reader: Reader, context: RunbookContext): void {
  const { places, findings } = context;
  if (typeof value === 'string') {
    const place = { places, path, offset: 0, source: value };
    const found = checkExpression(place, findings, () => findExpressions(value)) ?? [];
    for (const { source, offset } of found) {
      checkOne({ places, path, offset, source }, reader, context, { use: 'value' });
    }
    return;
  }
  for (const [key, member] of membersOf(value)) checkTemplates(member, [...path, key], reader, context);
}

/** Parses one expression in the environment of its step and checks what it reads. */
function checkOne(
  place: ExpressionPlace,
  reader: Reader,
  context: RunbookContext,
  { use, expect }: { readonly use: Use; readonly expect?: 'bool' | undefined },
): Expression | null {
  // Outputs are evaluated where the result is, whatever the level.
  const isRunLevel = reader.level === 'run' && use !== 'outputs';
  if (isRunLevel && readsAsset(place, reader, context)) return null;
  const expression = checkExpression(place, context.findings, () =>
    parseExpression(place.source, isRunLevel ? 'run' : 'target', { expect }),
  );
  if (expression === null) {
    const last = context.findings.at(-1);
    if (last !== undefined) context.findings.splice(-1, 1, onlyKnown(last, reader.scope, use));
    return null;
  }
  const scope = { ...reader, use, steps: context.steps, inputs: context.spec.inputs, runbooks: context.runbooks };
  context.findings.push(...referenceFindings(expression, scope, place));
  return expression;
}

/** Of the variables that the level has, those that are none where the expression stands are not named as known. */
function onlyKnown(found: Finding, { items, hasError }: StepScope, use: Use): Finding {
  const isThere = (name: string): boolean => {
    if (use === 'outputs' || name === 'result') return use === 'outputs' && name === 'result';
    return name === 'item' ? items.size > 0 : name !== 'error' || hasError;
  };
  const message = found.message.replace(/(?<=; known here: )\w+(?:, \w+)*/, (list) =>
    list.split(', ').filter(isThere).join(', '),
  );
  return { ...found, message };
}

/** An expression of the run level that would be right if it stood at a step on targets. */
function readsAsset(place: ExpressionPlace, { known }: Reader, { findings }: RunbookContext): boolean {
  const expression = parsed(place.source);
  const reference = expression && findReferences(expression).find(({ keys }) => keys[0] === 'asset');
  if (!reference) return false;
  const who = known === null ? 'this' : `"${known.step.id}"`;
  const remedy =
    known === null || 'uses' in known.step
      ? 'it may read run.counts'
      : 'put the condition in "if" of the steps on targets';
  const message = `${who} is decided once for the run and cannot read "asset", which differs by target; ${remedy}`;
  const { position, text } = wholeReference(reference, place.source);
  findings.push(expressionFinding('asset-at-run-level', message, place, position, { text }));
  return true;
}

function parsed(source: string): Expression | null {
  try {
    return parseExpression(source, 'target');
  } catch (error) {
    if (error instanceof FettleError) return null;
    throw error;
  }
}
