import type { Finding, ActionStep } from '@fettle/contracts';
import { findExpressions, parseExpression, parseSelector } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';
import { likelyKind } from './document-kind.js';
import { checkExpression } from './expression-findings.js';
import type { ParsedDocument } from './parse-documents.js';
import { checkAction } from './validate-runbook.js';

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
  if (!Array.isArray(spec.steps)) return;
  for (const [index, step] of (spec.steps as readonly unknown[]).entries())
    if (isRecord(step)) checkStep(context, step, ['spec', 'steps', index]);
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

function checkStep(context: Context, step: Readonly<Record<string, unknown>>, base: JsonPath): void {
  const { parsed, checks, findings } = context;
  const { uses } = step;
  const input = step.with ?? {};
  if (typeof uses === 'string' && uses !== '') {
    // Only these two members are looked at, and a `with` that is no object was found wrong before.
    const draft: Pick<ActionStep, 'uses' | 'with'> = { uses, with: isRecord(input) ? input : {} };
    const action = checkAction(draft, isRecord(input), base, checks.actions, { places: parsed.places, findings });
    const environment = action?.scope === 'control' ? 'run' : 'target';
    checkText(context, [...base, 'if'], step.if, (text) => parseExpression(text, environment, { expect: 'bool' }));
    checkTemplates(context, input, [...base, 'with'], environment);
  }
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
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  for (const [key, member] of members as [string | number, unknown][])
    checkTemplates(context, member, [...path, key], environment);
}
