import { stepIdSchema, type ActionStep, type Finding } from '@fettle/contracts';
import { findExpressions, parseExpression, parseSelector } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';
import { likelyKind } from './document-kind.js';
import { checkExpression } from './expression-findings.js';
import type { ParsedDocument } from './parse-documents.js';
import { membersOf, report } from './runbook-context.js';
import { isWrapped } from './step-expressions.js';
import { checkAction } from './validate-action.js';
import { unknownHandler } from './validate-handlers.js';

export interface DraftChecks {
  readonly actions: ActionRegistry;
  readonly validateCron?: ((cron: string) => unknown) | undefined;
  readonly validateTimeZone?: ((timeZone: string) => unknown) | undefined;
}

interface Context {
  readonly parsed: ParsedDocument;
  readonly checks: DraftChecks;
  readonly findings: Finding[];
}

/**
 * What can be told of a document of wrong shape, field by field, so that one mistake hides no other: actions and their inputs,
 * the syntax of expressions, times. What depends on several fields (what a step may read, which ids are taken) waits for the
 * right shape.
 */
export function validateDraft(parsed: ParsedDocument, checks: DraftChecks, findings: Finding[]): void {
  const { value } = parsed;
  const spec = isRecord(value) ? value.spec : undefined;
  if (!isRecord(spec)) return;
  const context: Context = { parsed, checks, findings };
  checkText(context, ['spec', 'targets'], spec.targets, (text) => parseSelector(text));
  if (likelyKind(value) === 'Schedule') {
    checkText(context, ['spec', 'cron'], spec.cron, (text) => checks.validateCron?.(text));
    checkText(context, ['spec', 'timeZone'], spec.timeZone, (text) => checks.validateTimeZone?.(text));
    return;
  }
  checkSteps(context, spec.steps, ['spec', 'steps']);
  const gate = isRecord(spec.rollout) ? spec.rollout.gate : undefined;
  if (isRecord(gate)) checkUse(context, gate, ['spec', 'rollout', 'gate']);
  const { handlers } = spec;
  if (!isRecord(handlers)) return;
  for (const [name, steps] of Object.entries(handlers)) checkSteps(context, steps, ['spec', 'handlers', name]);
}

/** Only text of a sensible length: whatever else it is, its shape was found wrong. */
function checkText(
  { parsed, findings }: Context,
  path: JsonPath,
  value: unknown,
  check: (text: string) => unknown,
): void {
  if (typeof value !== 'string' || value === '' || value.length > 4096) return;
  checkExpression({ places: parsed.places, path, offset: 0, source: value }, findings, () => check(value));
}

/** The lists of steps directly inside of a value that is meant to be a step, with where they stand in it. */
function listsInside(step: Readonly<Record<string, unknown>>): readonly (readonly [JsonPath, unknown])[] {
  const { parallel, forEach, choose } = step;
  const lists: (readonly [JsonPath, unknown])[] = (['try', 'catch', 'finally'] as const).map((key) => [
    [key],
    step[key],
  ]);
  if (isRecord(parallel))
    lists.push(...Object.keys(parallel).map((name) => [['parallel', name], parallel[name]] as const));
  if (isRecord(forEach)) lists.push([['forEach', 'steps'], forEach.steps]);
  for (const [index, branch] of Array.isArray(choose) ? (choose as unknown[]).entries() : []) {
    if (isRecord(branch)) lists.push([['choose', index, 'steps'], branch.steps]);
  }
  return lists;
}

function checkSteps(context: Context, steps: unknown, base: JsonPath): void {
  if (!Array.isArray(steps)) return;
  for (const [index, step] of (steps as readonly unknown[]).entries()) {
    if (!isRecord(step)) continue;
    const path = [...base, index];
    checkHandlerName(context, step.onError, [...path, 'onError']);
    if (typeof step.uses === 'string') checkUse(context, step, path);
    else checkFlow(context, step, path);
    for (const [inside, list] of listsInside(step)) checkSteps(context, list, [...path, ...inside]);
  }
}

/** A misspelt `fail` or `continue` looks like the name of a handler. */
function checkHandlerName({ parsed, findings }: Context, onError: unknown, path: JsonPath): void {
  if (typeof onError !== 'string' || !stepIdSchema.safeParse(onError).success) return;
  const spec = isRecord(parsed.value) ? parsed.value.spec : undefined;
  const handlers = isRecord(spec) && isRecord(spec.handlers) ? Object.keys(spec.handlers) : [];
  if (['fail', 'continue', ...handlers].includes(onError)) return;
  report({ places: parsed.places, findings }, ...unknownHandler(onError, handlers, path));
}

function checkUse(context: Context, step: Readonly<Record<string, unknown>>, base: JsonPath): void {
  const { parsed, checks, findings } = context;
  const { uses } = step;
  const input = step.with ?? {};
  if (typeof uses !== 'string' || uses === '') return;
  // Only these two members are looked at, and a `with` that is no object was found wrong before.
  const draft: Pick<ActionStep, 'uses' | 'with'> = { uses, with: isRecord(input) ? input : {} };
  const action = checkAction(draft, isRecord(input), base, checks.actions, { places: parsed.places, findings });
  const environment = action?.scope === 'control' ? 'run' : 'target';
  checkPlain(context, [...base, 'if'], step.if, environment, 'bool');
  checkTemplates(context, input, [...base, 'with'], environment);
}

/** What flow steps decide once for the run. */
function checkFlow(context: Context, step: Readonly<Record<string, unknown>>, base: JsonPath): void {
  checkPlain(context, [...base, 'if'], step.if, 'run', 'bool');
  const { choose, forEach, call, wait, approval } = step;
  for (const [index, branch] of Array.isArray(choose) ? (choose as unknown[]).entries() : []) {
    if (isRecord(branch)) checkPlain(context, [...base, 'choose', index, 'when'], branch.when, 'run', 'bool');
  }
  if (isRecord(forEach)) checkPlain(context, [...base, 'forEach', 'items'], forEach.items, 'run');
  if (isRecord(call)) checkTemplates(context, call.inputs, [...base, 'call', 'inputs'], 'run');
  if (isRecord(approval)) checkTemplates(context, approval.message, [...base, 'approval', 'message'], 'run');
  if (!isRecord(wait)) return;
  if (typeof wait.uses === 'string') checkUse(context, wait, [...base, 'wait']);
  checkPlain(context, [...base, 'wait', 'condition'], wait.condition, 'target', 'bool');
  checkTemplates(context, wait.until, [...base, 'wait', 'until'], 'run');
}

/** CEL without `${{ }}`. */
function checkPlain(
  context: Context,
  path: JsonPath,
  value: unknown,
  environment: 'run' | 'target',
  expect?: 'bool',
): void {
  const reporter = { places: context.parsed.places, findings: context.findings };
  if (typeof value === 'string' && isWrapped(value, path, reporter, expect)) return;
  checkText(context, path, value, (text) => parseExpression(text, environment, { expect }));
}

function checkTemplates(context: Context, value: unknown, path: JsonPath, environment: 'run' | 'target'): void {
  const { parsed, findings } = context;
  if (typeof value === 'string') {
    const place = { places: parsed.places, path, offset: 0, source: value };
    const found = checkExpression(place, findings, () => findExpressions(value)) ?? [];
    for (const { source, offset } of found)
      checkExpression({ ...place, offset, source }, findings, () => parseExpression(source, environment));
    return;
  }
  for (const [key, member] of membersOf(value)) checkTemplates(context, member, [...path, key], environment);
}
