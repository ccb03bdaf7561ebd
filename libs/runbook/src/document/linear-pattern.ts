import { FettleError } from '@fettle/contracts';
import { evaluateCondition, parseExpression, type Expression } from '@fettle/expression';

/**
 * A pattern of a JSON Schema as a condition of the expression language, whose `matches` takes time in proportion to the text
 * and finds the pattern anywhere in it, as JSON Schema asks for. JSON's escapes are escapes of CEL, too.
 */
function matcher(pattern: string): Expression {
  return parseExpression(`inputs.text.matches(${JSON.stringify(pattern)})`, 'run', { expect: 'bool' });
}

/** Why a pattern cannot be used, or null. */
export function patternProblem(pattern: string): string | null {
  try {
    matcher(pattern);
    return null;
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return `${error.message.replace(/ \(at \d+:\d+\)$/, '')}; patterns are regular expressions of RE2, without look-around and back-references`;
  }
}

interface LinearPattern {
  readonly test: (text: string) => boolean;
  readonly toString: () => string;
}

/** What ajv asks of a regular expression. A text for which matching would take too much work does not match. */
export function linearPattern(pattern: string): LinearPattern {
  const expression = matcher(pattern);
  return {
    // ajv keeps one matcher for each text that toString gives.
    toString: () => expression.source,
    test: (text) => {
      try {
        return evaluateCondition(expression, { inputs: { text } }) === true;
      } catch (error) {
        if (error instanceof FettleError && error.code === 'limit-exceeded') return false;
        throw error;
      }
    },
  };
}
