import { FettleError, renderedCapacitySchema } from '@fettle/contracts';
import { mergeWants, type Want } from './grant.js';

/**
 * What a step asks for, once its `${{ }}` are evaluated: each key once, sorted.
 * @throws FettleError `invalid-capacity` where a key came out as something else.
 */
export function readWants(rendered: unknown): Want[] {
  const parsed = renderedCapacitySchema.safeParse(rendered);
  if (parsed.success) return mergeWants(parsed.data);
  const text = JSON.stringify(rendered)?.slice(0, 200);
  throw new FettleError({
    code: 'invalid-capacity',
    message: `The capacity ${text} is not a list of keys such as "site:ber" or {key: "site:ber", units: 2}.`,
    remedy: 'See what the expressions in "capacity" come to; a key is KIND:NAME.',
  });
}
