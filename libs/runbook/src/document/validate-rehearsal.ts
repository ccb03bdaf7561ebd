import {
  walkSteps,
  type Finding,
  type Mock,
  type RehearsalCase,
  type RehearsalDocument,
  type RunbookSpec,
  type Step,
} from '@fettle/contracts';
import { findExpressions, parseExpression } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';
import { closestName } from './closest-name.js';
import { checkExpression } from './expression-findings.js';
import { finding } from './findings.js';
import type { ParsedDocument } from './parse-documents.js';
import { usedAction } from './known-steps.js';
import { validateInputs } from './validate-inputs.js';

interface Context {
  readonly parsed: ParsedDocument;
  /** The runbook that is rehearsed and those beside it. */
  readonly runbooks: ReadonlyMap<string, RunbookSpec>;
  readonly rehearsal: RehearsalDocument;
  readonly actions: ActionRegistry;
  readonly findings: Finding[];
}

/** Adds what is wrong with a rehearsal of right shape: names that nothing has, expressions, inputs that do not fit. */
export function validateRehearsal(
  rehearsal: RehearsalDocument,
  parsed: ParsedDocument,
  documents: readonly ParsedDocument[],
  { actions }: { readonly actions: ActionRegistry },
  findings: Finding[],
): void {
  const runbooks = new Map<string, RunbookSpec>();
  for (const { document } of documents) {
    if (document?.kind === 'Runbook' && document.metadata.space === rehearsal.metadata.space) {
      runbooks.set(document.metadata.name, document.spec);
    }
  }
  const { spec } = rehearsal;
  const context: Context = { parsed, runbooks, rehearsal, actions, findings };
  const runbook = runbooks.get(spec.runbook);
  if (runbook === undefined) {
    const isThere = documents.some(({ value }) => isRunbookNamed(value, spec.runbook));
    // One of wrong shape has findings of its own.
    if (isThere) return;
    const known = [...runbooks.keys()];
    const message = `there is no runbook "${spec.runbook}" among these files, so that nothing can be rehearsed`;
    return report(context, 'unknown-runbook', message, ['spec', 'runbook'], closestName(spec.runbook, known));
  }
  for (const [index, mock] of spec.mocks.entries()) checkMock(context, mock, ['spec', 'mocks', index], null);
  for (const [index, one] of spec.cases.entries()) checkCase(context, one, runbook, ['spec', 'cases', index]);
}

function isRunbookNamed(value: unknown, name: string): boolean {
  return isRecord(value) && value.kind === 'Runbook' && isRecord(value.metadata) && value.metadata.name === name;
}

function report(
  { findings, parsed }: Context,
  code: string,
  message: string,
  path: JsonPath,
  suggestion?: string,
): void {
  findings.push(finding(code, message, { path, ...parsed.places.valueAt(path), suggestion }));
}

function checkCase(context: Context, one: RehearsalCase, runbook: RunbookSpec, base: JsonPath): void {
  const { spec } = context.rehearsal;
  const inputs = { ...spec.inputs, ...one.inputs };
  for (const found of validateInputs(runbook, inputs).findings) {
    if (found.code !== 'invalid-inputs') continue;
    const name = /^inputs\.([\w$-]+)/.exec(found.path ?? '')?.[1];
    const own = name !== undefined && !Object.hasOwn(one.inputs, name) && Object.hasOwn(spec.inputs, name);
    const path = own ? ['spec', 'inputs', name] : [...base, 'inputs', ...(name === undefined ? [] : [name])];
    context.findings.push(finding(found.code, found.message, { path, ...context.parsed.places.keyAt(path) }));
  }
  const estate = (one.estate ?? spec.estate).map(({ name }) => name);
  for (const [index, mock] of one.mocks.entries()) checkMock(context, mock, [...base, 'mocks', index], estate);
  for (const [index, fault] of one.faults.entries()) {
    const path = [...base, 'faults', index];
    checkAttempt(context, fault, path, fault.kind === 'cancel' ? 'cancel' : 'fault');
    checkTarget(context, fault.target, estate, [...path, 'target']);
  }
  for (const [index, { step, runbook: called }] of one.approvals.entries()) {
    const path = [...base, 'approvals', index];
    const found = checkStep(context, step, called, path);
    if (found === null || 'approval' in found) continue;
    report(
      context,
      'no-effect',
      `"${found.id}" is no approval, so that nobody is asked`,
      memberOr(context, path, 'step'),
    );
  }
  checkSignals(context, one, base);
  for (const name of Object.keys(one.expects.targets ?? {})) {
    checkTarget(context, name, estate, [...base, 'expects', 'targets', name]);
  }
  checkPatterns(context, one, base, estate);
}

function checkSignals(context: Context, { signals }: RehearsalCase, base: JsonPath): void {
  if (signals.length === 0) return;
  const names = new Set<string>();
  for (const spec of context.runbooks.values()) {
    for (const step of allSteps(spec)) if ('wait' in step && 'signal' in step.wait) names.add(step.wait.signal);
  }
  for (const [index, { name }] of signals.entries()) {
    if (names.has(name)) continue;
    const known =
      names.size === 0 ? 'none waits for any' : `those waited for are ${[...names].slice(0, 20).join(', ')}`;
    const message = `no step of the runbooks in these files waits for the signal "${name}"; ${known}`;
    report(context, 'no-effect', message, [...base, 'signals', index, 'name'], closestName(name, [...names]));
  }
}

function checkPatterns(context: Context, one: RehearsalCase, base: JsonPath, estate: readonly string[]): void {
  const { expects } = one;
  for (const member of ['sequence', 'absent'] as const) {
    for (const [index, pattern] of (expects[member] ?? []).entries()) {
      const path = [...base, 'expects', member, index];
      const { step, runbook, target } = typeof pattern === 'string' ? { step: pattern } : pattern;
      if (step !== undefined) checkStep(context, step, runbook, path);
      checkTarget(context, target, estate, [...path, 'target']);
    }
  }
  for (const member of ['steps', 'approvals'] as const) {
    for (const [index, step] of (expects[member] ?? []).entries()) {
      checkStep(context, step, undefined, [...base, 'expects', member, index]);
    }
  }
}

function checkMock(context: Context, mock: Mock, base: JsonPath, estate: readonly string[] | null): void {
  checkAttempt(context, mock, base, 'mock');
  const { places } = context.parsed;
  if (estate !== null) checkTarget(context, mock.target, estate, [...base, 'target']);
  const { if: source } = mock;
  if (source !== undefined) {
    const place = { places, path: [...base, 'if'], offset: 0, source };
    checkExpression(place, context.findings, () => parseExpression(source, 'target', { expect: 'bool' }));
  }
  checkTemplates(context, mock.output ?? {}, [...base, 'output']);
}

function checkTemplates(context: Context, value: unknown, path: JsonPath): void {
  const { places } = context.parsed;
  if (typeof value === 'string') {
    const place = { places, path, offset: 0, source: value };
    for (const { source, offset } of checkExpression(place, context.findings, () => findExpressions(value)) ?? []) {
      const inside = { places, path, offset, source };
      checkExpression(inside, context.findings, () => parseExpression(source, 'target'));
    }
    return;
  }
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  for (const [key, member] of members as [string | number, unknown][]) checkTemplates(context, member, [...path, key]);
}

function checkTarget(context: Context, target: string | undefined, estate: readonly string[], path: JsonPath): void {
  if (target === undefined || estate.includes(target)) return;
  const message = `the estate has no asset "${target}"; it has ${estate.length === 0 ? 'none' : estate.slice(0, 20).join(', ')}`;
  report(context, 'unknown-target', message, path, closestName(target, estate));
}

/** That a mock or a fault is of a step that makes attempts; a cancel may also come while one waits. */
function checkAttempt(
  context: Context,
  filter: Pick<Mock, 'step' | 'runbook'>,
  base: JsonPath,
  what: 'mock' | 'fault' | 'cancel',
): void {
  const found = checkStep(context, filter.step, filter.runbook, base);
  if (found === null || usedAction(found) !== undefined) return;
  if (what === 'cancel' && ('wait' in found || 'approval' in found)) return;
  const message = `"${found.id}" carries out no action itself, so that a ${what} at it has no effect; name a step with "uses"`;
  report(context, 'no-effect', message, memberOr(context, base, 'step'));
}

function allSteps({ steps, handlers = {} }: RunbookSpec): readonly Step[] {
  return [steps, ...Object.values(handlers)].flatMap((list) => [...walkSteps(list)]);
}

/**
 * That a pattern can be about some step; `base` is what has the pattern, or the text itself. Returns the step; null where there
 * is none, or where it may be several.
 */
function checkStep(context: Context, pattern: string, runbook: string | undefined, base: JsonPath): Step | null {
  const name = runbook ?? context.rehearsal.spec.runbook;
  const spec = context.runbooks.get(name);
  if (spec === undefined) {
    const message = `there is no runbook "${name}" among these files`;
    report(context, 'unknown-runbook', message, [...base, 'runbook'], closestName(name, [...context.runbooks.keys()]));
    return null;
  }
  const step = pattern.replace(/#gate[0-9]+$/, '');
  const last = /[a-z0-9_]+$/.exec(step)?.[0];
  // What ends in a star may be anything.
  if (last === undefined || pattern.includes('*')) return null;
  const steps = allSteps(spec);
  const found = steps.filter(({ id }) => id === last);
  // A gate stands after a step and is an attempt of its own.
  if (found.length > 0) return found.length === 1 && step === pattern ? (found[0] ?? null) : null;
  if (isBlockPath(pattern)) return null;
  const ids = steps.map(({ id }) => id);
  const message = `the runbook "${name}" has no step "${last}"`;
  report(context, 'unknown-step', message, memberOr(context, base, 'step'), closestName(last, ids));
  return null;
}

/** `deploy!recover` and `each[ber]`: what stands around steps. */
function isBlockPath(pattern: string): boolean {
  return /[!\]]/.test(pattern.slice(pattern.lastIndexOf('/') + 1));
}

/** The path of a member where the document has it, and of what it would stand in otherwise. */
function memberOr({ parsed }: Context, base: JsonPath, name: string): JsonPath {
  let value: unknown = parsed.value;
  for (const part of base) value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined;
  return isRecord(value) && Object.hasOwn(value, name) ? [...base, name] : base;
}
