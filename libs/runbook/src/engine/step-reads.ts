import { FettleError, type ActionStep } from '@fettle/contracts';
import { compileTemplate, findReferences, parseExpression, type Expression } from '@fettle/expression';

/** Ids of the steps whose outputs steps on targets read, each once, sorted; those of an expression that cannot be parsed are left out. */
export function readStepIds(steps: readonly Pick<ActionStep, 'with' | 'if' | 'rollback'>[]): readonly string[] {
  const ids = steps.flatMap((step) => expressionsOf(step).flatMap(stepsIn));
  return [...new Set(ids)].sort();
}

function stepsIn(expression: Expression): string[] {
  return findReferences(expression).flatMap(({ keys: [variable, id] }) =>
    variable === 'steps' && id !== undefined ? [id] : [],
  );
}

function expressionsOf({
  with: input,
  if: condition,
  rollback,
}: Pick<ActionStep, 'with' | 'if' | 'rollback'>): Expression[] {
  const undo = rollback !== undefined && 'uses' in rollback ? rollback.with : undefined;
  return [input, undo].flatMap(templateExpressions).concat(conditionExpressions(condition));
}

function templateExpressions(value: unknown): Expression[] {
  if (value === undefined) return [];
  return ignoreInvalid(() => compileTemplate(value, 'target').expressions.map(({ expression }) => expression));
}

function conditionExpressions(source: string | undefined): Expression[] {
  return source === undefined ? [] : ignoreInvalid(() => [parseExpression(source, 'target')]);
}

/** The step fails on every target where it is decided, with the reason. */
function ignoreInvalid(parse: () => Expression[]): Expression[] {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FettleError) return [];
    throw error;
  }
}
