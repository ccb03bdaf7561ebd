import type { TargetCondition } from '@fettle/database';
import { assetColumnMap, compileSelector, type Selector } from '@fettle/expression';

/** The conjunction of a selector with what the actor's role bindings allow (null: all), as one condition on alias `a`. */
export function assetCondition(
  selector: Selector | null,
  allowed: readonly string[] | null,
  firstParameter: number,
): TargetCondition | null {
  const parameters: unknown[] = [];
  const compile = (source: Selector | string): string => {
    const compiled = compileSelector(source, assetColumnMap, { firstParameter: firstParameter + parameters.length });
    parameters.push(...compiled.where.parameters);
    return `(${compiled.where.sql})`;
  };
  const parts: string[] = [];
  if (selector !== null) parts.push(compile(selector));
  if (allowed !== null) parts.push(allowed.length === 0 ? 'false' : `(${allowed.map(compile).join(' OR ')})`);
  return parts.length === 0 ? null : { sql: parts.join(' AND '), parameters };
}
