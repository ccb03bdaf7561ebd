import { durationMs, type ActionContract, type ActionStep, type Duration } from '@fettle/contracts';
import type { z } from 'zod';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { JsonPath, JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { dynamicPaths, isPrefix, report, type Reporter } from './runbook-context.js';
import { shapeFindings } from './shape-findings.js';

/** That a step's action is known and, where it is to be looked at, that the input fits it. */
export function checkAction(
  step: Pick<ActionStep, 'uses' | 'with'>,
  hasInput: boolean,
  base: JsonPath,
  actions: ActionRegistry,
  reporter: Reporter,
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
  { places, findings }: Reporter,
): void {
  const result = action.input.safeParse(step.with);
  if (result.success) return;
  const dynamic = dynamicPaths(step.with);
  const issues = result.error.issues.flatMap((issue) => constantIssue(issue, [], dynamic) ?? []);
  findings.push(...shapeFindings(action.input, issues, step.with as JsonValue, places, base));
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
