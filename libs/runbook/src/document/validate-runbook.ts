import {
  durationMs,
  isActionStep,
  type ActionContract,
  type Duration,
  type Finding,
  type RunbookSpec,
  type ActionStep,
} from '@fettle/contracts';
import { findExpressions, parseExpression, parseSelector } from '@fettle/expression';
import type { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { formatPath, isRecord, type JsonPath, type JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { checkExpression, type ExpressionPlace } from './expression-findings.js';
import { finding } from './findings.js';
import type { DocumentPlaces } from './document-places.js';
import { shapeFindings } from './shape-findings.js';
import { referenceFindings, type KnownStep, type ReferenceScope } from './step-references.js';
import { checkInputsSchema } from './validate-inputs.js';
import { validateRollout } from './validate-rollout.js';

/** A run may take this long at most: longer ones are several runs. */
const MAX_RUN_TIMEOUT_MS = 30 * 86_400_000;

interface Context {
  readonly spec: RunbookSpec;
  readonly places: DocumentPlaces;
  readonly steps: readonly KnownStep[];
  readonly findings: Finding[];
}

/** Adds what is wrong with a runbook of right shape. */
export function validateRunbook(
  spec: RunbookSpec,
  places: DocumentPlaces,
  actions: ActionRegistry,
  findings: Finding[],
): void {
  const steps = spec.steps.filter(isActionStep).map((step, index): KnownStep => {
    return { step, index, action: Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined };
  });
  const context: Context = { spec, places, steps, findings };
  checkInputs(context);
  checkTargets(context);
  validateRollout(spec, places, findings);
  checkDuration(spec.timeout, ['spec', 'timeout'], MAX_RUN_TIMEOUT_MS, 'a run', context);
  const ids = new Map<string, number>();
  for (const known of steps) {
    const { step, index } = known;
    const first = ids.get(step.id);
    if (first === undefined) ids.set(step.id, index);
    else
      report(
        context,
        'duplicate-step',
        `the id "${step.id}" is that of step ${first + 1}, too; ids name steps for ever`,
        ['spec', 'steps', index, 'id'],
      );
    checkStep(known, actions, context);
  }
}

function report(
  { findings, places }: Pick<Context, 'places' | 'findings'>,
  code: string,
  message: string,
  path: JsonPath,
  suggestion?: string,
): void {
  findings.push(finding(code, message, { path, ...places.valueAt(path), suggestion }));
}

function checkInputs({ spec, places, findings }: Context): void {
  for (const found of checkInputsSchema(spec.inputs)) {
    const path =
      found.path === undefined ? 'spec.inputs' : `spec.inputs${found.path.startsWith('[') ? '' : '.'}${found.path}`;
    const { position, text } = placeOfText(path, spec, places);
    findings.push({ ...found, path, position, ...(text === '' ? {} : { text }) });
  }
}

/** The place of a path that is known only as text, found among the paths of the value. */
function placeOfText(wanted: string, spec: RunbookSpec, places: DocumentPlaces): ReturnType<DocumentPlaces['keyAt']> {
  let best: JsonPath = ['spec', 'inputs'];
  const visit = (value: unknown, path: JsonPath): void => {
    const text = formatPath(path);
    if (!wanted.startsWith(text)) return;
    if (wanted === text || /^[.[]/.test(wanted.slice(text.length))) best = path.length > best.length ? path : best;
    const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
    for (const [key, member] of members as [string | number, unknown][]) visit(member, [...path, key]);
  };
  visit(spec.inputs, ['spec', 'inputs']);
  return places.keyAt(best);
}

function checkTargets(context: Context): void {
  const { spec, places, steps, findings } = context;
  const first = steps.find(({ action }) => action?.scope === 'target');
  const { targets } = spec;
  if (targets === undefined) {
    if (first === undefined) return;
    const message = `"targets" is missing: the step "${first.step.id}" uses ${first.step.uses}, which runs on targets`;
    findings.push(
      finding('targets-required', message, { path: ['spec', 'targets'], position: places.keyAt(['spec']).position }),
    );
    return;
  }
  const place = { places, path: ['spec', 'targets'], offset: 0, source: targets };
  checkExpression(place, findings, () => parseSelector(targets));
  if (first === undefined && steps.every(({ action }) => action !== undefined)) {
    const message = 'no step runs on targets, so "targets" has no effect';
    findings.push(
      finding('targets-unused', message, { severity: 'warning', path: place.path, ...places.keyAt(place.path) }),
    );
  }
}

function checkDuration(
  duration: Duration | undefined,
  path: JsonPath,
  maxMs: number,
  what: string,
  context: Context,
): void {
  if (duration === undefined) return;
  const ms = durationMs(duration);
  if (ms <= 0) report(context, 'invalid-value', 'the time must be longer than 0', path);
  if (ms > maxMs) report(context, 'timeout-too-long', `${what} may take at most ${maxMs / 1000} s`, path);
}

/** That a step's action is known and, where it is to be looked at, that the input fits it. */
export function checkAction(
  step: Pick<ActionStep, 'uses' | 'with'>,
  hasInput: boolean,
  base: JsonPath,
  actions: ActionRegistry,
  context: Pick<Context, 'places' | 'findings'>,
): ActionContract | undefined {
  const action = Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined;
  if (action === undefined) {
    const names = Object.keys(actions);
    const message = `"${step.uses}" is not a known action; known actions are ${names.join(', ')}`;
    report(context, 'unknown-action', message, [...base, 'uses'], closestName(step.uses, names));
  } else if (hasInput) checkInput(action, step, [...base, 'with'], context);
  return action;
}

function checkStep(known: KnownStep, actions: ActionRegistry, context: Context): void {
  const { step, index, action } = known;
  const base: JsonPath = ['spec', 'steps', index];
  checkAction(step, true, base, actions, context);
  if (action !== undefined) checkDuration(step.timeout, [...base, 'timeout'], action.maxTimeoutMs, step.uses, context);
  const scope = (use: ReferenceScope['use']): ReferenceScope => ({
    steps: context.steps,
    reader: known,
    use,
    inputs: context.spec.inputs,
  });
  checkCondition(known, [...base, 'if'], scope('if'), context);
  for (const [name, source] of Object.entries(step.outputs ?? {})) {
    checkOne(
      { places: context.places, path: [...base, 'outputs', name], offset: 0, source },
      scope('outputs'),
      context,
    );
  }
  checkTemplates(step.with, [...base, 'with'], scope('with'), context);
}

function checkCondition({ step }: KnownStep, path: JsonPath, scope: ReferenceScope, context: Context): void {
  const source = step.if;
  if (source === undefined) return;
  const template = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(source);
  if (template === null) return checkOne({ places: context.places, path, offset: 0, source }, scope, context);
  const message = 'a condition is an expression already; write it without ${{ }}';
  report(context, 'invalid-expression', message, path, template[1]?.trim());
}

/** Parses one expression in the environment of its step and checks what it reads. */
function checkOne(place: ExpressionPlace, scope: ReferenceScope, { findings }: Context): void {
  // Outputs are evaluated where the action ran, so `result` is known for both scopes.
  const isRunLevel = scope.reader.action?.scope === 'control' && scope.use !== 'outputs';
  const expect = scope.use === 'if' ? 'bool' : undefined;
  const expression = checkExpression(place, findings, () =>
    parseExpression(place.source, isRunLevel ? 'run' : 'target', { expect }),
  );
  if (expression !== null) findings.push(...referenceFindings(expression, scope, place));
}

function checkTemplates(value: unknown, path: JsonPath, scope: ReferenceScope, context: Context): void {
  const { places, findings } = context;
  if (typeof value === 'string') {
    const place = { places, path, offset: 0, source: value };
    const found = checkExpression(place, findings, () => findExpressions(value)) ?? [];
    for (const { source, offset } of found) checkOne({ places, path, offset, source }, scope, context);
    return;
  }
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  for (const [key, member] of members as [string | number, unknown][])
    checkTemplates(member, [...path, key], scope, context);
}

/** Checks `with` against the action's schema wherever it is constant; what expressions will yield is checked when it is known. */
function checkInput(
  action: ActionContract,
  step: Pick<ActionStep, 'with'>,
  base: JsonPath,
  { places, findings }: Pick<Context, 'places' | 'findings'>,
): void {
  const result = action.input.safeParse(step.with);
  if (result.success) return;
  const dynamic = dynamicPaths(step.with);
  const issues = result.error.issues.flatMap((issue) => constantIssue(issue, [], dynamic) ?? []);
  findings.push(...shapeFindings(action.input, issues, step.with as JsonValue, places, base));
}

function dynamicPaths(value: unknown, path: JsonPath = []): readonly JsonPath[] {
  if (typeof value === 'string') return value.includes('${{') ? [path] : [];
  const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
  return (members as [string | number, unknown][]).flatMap(([key, member]) => dynamicPaths(member, [...path, key]));
}

type Issue = z.core.$ZodIssue;

/** The issue as far as it is about constants; null where expressions may mend it. */
function constantIssue(issue: Issue, base: JsonPath, dynamic: readonly JsonPath[]): Issue | null {
  const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  if (dynamic.some((inside) => isPrefix(inside, path))) return null;
  const isAround = dynamic.some((inside) => isPrefix(path, inside));
  if (issue.code === 'invalid_union' && isAround) {
    const errors = issue.errors.map((branch) => branch.flatMap((inner) => constantIssue(inner, path, dynamic) ?? []));
    return errors.some((branch) => branch.length === 0) ? null : ({ ...issue, errors } as Issue);
  }
  return issue.code === 'custom' && isAround ? null : issue;
}

function isPrefix(prefix: JsonPath, path: JsonPath): boolean {
  return prefix.length <= path.length && prefix.every((part, index) => part === path[index]);
}
