// What a run-level expression does inside the workflow sandbox.
import { compileTemplate, evaluateCondition, parseExpression, renderCompiled } from '@fettle/expression';

export interface Outcome {
  readonly condition: boolean | 'unknown';
  readonly rendered: unknown;
  readonly error: string;
}

export async function evaluateExpression(inputs: unknown): Promise<Outcome> {
  const condition = evaluateCondition(
    parseExpression('inputs.n > 2 && inputs.text.matches("^h.*o$") && !inputs.missing', 'run'),
    { inputs },
  );
  const rendered = renderCompiled(compileTemplate({ path: '/tmp/${{ inputs.text }}', n: '${{ inputs.n }}' }, 'run'), {
    inputs,
  });
  let error = '';
  try {
    parseExpression('inputz.n', 'run');
  } catch (thrown) {
    error = (thrown as Error).message;
  }
  return { condition, rendered, error };
}
