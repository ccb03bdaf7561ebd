import { durationMs, FettleError, type ActionStep } from '@fettle/contracts';
import {
  compileTemplate,
  evaluate,
  evaluateCondition,
  parseExpression,
  renderCompiled,
  type Expression,
  type ExpressionEnvironment,
  type Template,
  type Variables,
} from '@fettle/expression';
import type { JsonObject, JsonValue } from '../json.js';

/** Why a step failed; both members are stored and shown. */
export interface StepError {
  readonly code: string;
  readonly message: string;
}

export type StepDecision =
  | { readonly kind: 'skip' }
  /** `input` is `with` after rendering, not yet checked against the action's schema. */
  | { readonly kind: 'run'; readonly input: JsonObject }
  /** The step fails without having been started. */
  | { readonly kind: 'fail'; readonly error: StepError };

/** What decides over a step: `with` and `if` as the document has them. */
type StepBody = { readonly with: unknown; readonly if?: string | null | undefined };

/** A step whose expressions are parsed; decide it once a target without parsing them again. Not JSON. */
export interface CompiledStep {
  readonly condition: Expression | null;
  readonly template: Template | null;
  /** Why the step fails on every target: an expression that validation would have refused. */
  readonly error: StepError | null;
}

/** Parses the condition and the templates of a step. Never throws for what they hold. */
export function compileStep(step: StepBody, environment: Exclude<ExpressionEnvironment, 'selector'>): CompiledStep {
  try {
    const condition =
      typeof step.if === 'string' ? parseExpression(step.if, environment, { origin: 'if', expect: 'bool' }) : null;
    return { condition, template: compileTemplate(step.with, environment, 'with'), error: null };
  } catch (error) {
    return { condition: null, template: null, error: stepError(error) };
  }
}

/**
 * Whether a step is to run and with what. A condition that cannot be determined fails the step with `condition-undetermined`
 * (skipping would hide that a fact is missing); so does a value in `with` that is missing (`unknown-value`).
 */
export function decideStep({ condition, template, error }: CompiledStep, variables: Variables): StepDecision {
  if (error !== null || template === null) {
    return { kind: 'fail', error: error ?? { code: 'internal', message: 'the step was not compiled' } };
  }
  try {
    if (condition !== null) {
      const truth = evaluateCondition(condition, variables);
      if (truth === 'unknown') return { kind: 'fail', error: undetermined(condition, variables) };
      if (!truth) return { kind: 'skip' };
    }
    return { kind: 'run', input: renderCompiled(template, variables) as JsonObject };
  } catch (failure) {
    return { kind: 'fail', error: stepError(failure) };
  }
}

function stepError(error: unknown): StepError {
  if (!(error instanceof FettleError)) throw error;
  return { code: error.code, message: error.message };
}

function undetermined(condition: Expression, variables: Variables): StepError {
  const outcome = evaluate(condition, variables);
  const reason = outcome.known ? 'its value is not true or false' : outcome.reason;
  return {
    code: 'condition-undetermined',
    message: `the condition \`${condition.source}\` cannot be determined: ${reason}`,
  };
}

/**
 * `decideStep` for one target: variables `asset`, `inputs`, `steps` (outputs of earlier steps by id) and `run`. Takes a compiled
 * step (`compileStep(step, 'target')`) where there are many targets.
 */
export function targetStepDecision(step: StepBody | CompiledStep, variables: Variables): StepDecision {
  return decideStep('template' in step ? step : compileStep(step, 'target'), variables);
}

/**
 * What later steps may read of a step as `steps.<id>`: the declared `outputs` evaluated over the action's result, or the whole
 * result where none are declared. Throws FettleError `output-undetermined` for an output whose value is missing in the result.
 */
export function stepOutputs(
  outputs: Readonly<Record<string, string>> | null | undefined,
  variables: Variables,
): JsonValue {
  if (outputs === null || outputs === undefined) return (variables['result'] ?? null) as JsonValue;
  return Object.fromEntries(
    Object.entries(outputs).map(([name, source]) => {
      const outcome = evaluate(parseExpression(source, 'target', { origin: `outputs.${name}` }), variables);
      if (outcome.known) return [name, outcome.value as JsonValue];
      throw new FettleError({
        code: 'output-undetermined',
        message: `the output "${name}" cannot be determined: ${outcome.reason}`,
      });
    }),
  );
}

/**
 * How long to wait, in milliseconds, after attempt number `attempt` (from 1) failed; null when there is no further attempt.
 * The wait doubles with each attempt up to `maxBackoff`.
 */
export function retryDelayMs(retry: ActionStep['retry'] | null, attempt: number): number | null {
  if (!Number.isSafeInteger(attempt) || attempt < 1) throw new RangeError(`attempts count from 1, not ${attempt}`);
  if (retry === null || retry === undefined || attempt >= retry.maxAttempts) return null;
  return Math.min(durationMs(retry.backoff) * 2 ** (attempt - 1), durationMs(retry.maxBackoff));
}

/** Whether a condition holds of the result of a look. Throws FettleError `condition-undetermined`. */
export function conditionHolds(condition: string, variables: Variables): boolean {
  const expression = parseExpression(condition, 'target', { origin: 'condition', expect: 'bool' });
  const truth = evaluateCondition(expression, variables);
  if (truth !== 'unknown') return truth;
  const outcome = evaluate(expression, variables);
  const reason = outcome.known ? 'its value is not true or false' : outcome.reason;
  const message = `the condition \`${condition}\` cannot be determined: ${reason}`;
  throw new FettleError({ code: 'condition-undetermined', message });
}
