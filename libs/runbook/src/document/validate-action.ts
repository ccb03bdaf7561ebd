import { durationMs, type ActionContract, type ActionStep, type Duration, type RunbookSpec } from '@fettle/contracts';
import type { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { JsonPath, JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { dynamicPaths, isPrefix, report, type Reporter } from './runbook-context.js';
import { describeExpected, nameOf, shapeFindings } from './shape-findings.js';
import { samePath, typedTexts, withSamples } from './typed-texts.js';

/** A reporter that may know which inputs the runbook declares. */
type InputReporter = Reporter & { readonly spec?: Pick<RunbookSpec, 'inputs'> };

/** That a step's action is known and, where it is to be looked at, that the input fits it. */
export function checkAction(
  step: Pick<ActionStep, 'uses' | 'with'>,
  hasInput: boolean,
  base: JsonPath,
  actions: ActionRegistry,
  reporter: InputReporter,
): ActionContract | undefined {
  const action = Object.hasOwn(actions, step.uses) ? actions[step.uses] : undefined;
  if (action === undefined) {
    const names = Object.keys(actions);
    const message = `"${step.uses}" is not a known action; known actions are ${names.join(', ')}`;
    report(reporter, 'unknown-action', message, [...base, 'uses'], { suggestion: closestName(step.uses, names) });
  } else if (hasInput) checkInput(action, step, [...base, 'with'], reporter);
  return action;
}

export function checkDuration(
  duration: Duration | undefined,
  path: JsonPath,
  maxMs: number,
  what: string,
  reporter: Reporter,
): void {
  if (duration === undefined) return;
  const ms = durationMs(duration);
  if (ms <= 0) report(reporter, 'invalid-value', 'the time must be longer than 0', path);
  if (ms > maxMs) report(reporter, 'timeout-too-long', `${what} may take at most ${maxMs / 1000} s`, path);
}

/** Checks `with` against the action's schema wherever it is constant; what expressions will yield is checked when it is known. */
function checkInput(
  action: ActionContract,
  step: Pick<ActionStep, 'with'>,
  base: JsonPath,
  reporter: InputReporter,
): void {
  const { places, findings } = reporter;
  checkTypedTexts(action, step, base, reporter);
  const result = action.input.safeParse(step.with);
  if (result.success) return;
  const dynamic = dynamicPaths(step.with);
  const issues = result.error.issues.flatMap((issue) => constantIssue(issue, [], dynamic) ?? []);
  findings.push(...shapeFindings(action.input, issues, step.with as JsonValue, places, base));
}

/** Of what an expression will yield, the type may be known already: nothing is converted to the one that the action takes. */
function checkTypedTexts(
  action: ActionContract,
  step: Pick<ActionStep, 'with'>,
  base: JsonPath,
  reporter: InputReporter,
): void {
  if (reporter.spec === undefined) return;
  const texts = typedTexts(step.with, reporter.spec.inputs);
  if (texts.length === 0) return;
  const result = action.input.safeParse(withSamples(step.with, texts));
  for (const { path, said, asText } of texts) {
    const issue = result.error?.issues.find((one) => one.code === 'invalid_type' && samePath(pathOf(one), path));
    if (issue?.code !== 'invalid_type') continue;
    const full = [...base, ...path];
    const message = `${nameOf(full)} must be ${describeExpected(issue.expected)}, and ${said}`;
    report(reporter, 'wrong-type', message, full, { suggestion: issue.expected === 'string' ? asText : undefined });
  }
}

type Issue = z.core.$ZodIssue;

function pathOf(issue: Issue): JsonPath {
  return issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
}

/** The issue as far as it is about constants; null where expressions may mend it. */
function constantIssue(issue: Issue, base: JsonPath, dynamic: readonly JsonPath[]): Issue | null {
  const path = [...base, ...pathOf(issue)];
  if (dynamic.some((inside) => isPrefix(inside, path))) return null;
  const isAround = dynamic.some((inside) => isPrefix(path, inside));
  if (issue.code === 'invalid_union' && isAround) {
    const errors = issue.errors.map((branch) => branch.flatMap((inner) => constantIssue(inner, path, dynamic) ?? []));
    return errors.some((branch) => branch.length === 0) ? null : ({ ...issue, errors } as Issue);
  }
  return issue.code === 'custom' && isAround ? null : issue;
}
