import { capacityKeySchema, type CapacityWant } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { report, type RunbookContext } from './runbook-context.js';
import { checkTemplates, type Reader } from './step-expressions.js';

/** Whether a key can be one, whatever its expressions yield. */
function mayBeKey(key: string): boolean {
  const written = key.replace(/\$\{\{.*?\}\}/gs, 'x');
  // An expression may yield the colon, too.
  const whole = written === key || written.includes(':') ? written : `x:${written}`;
  return capacityKeySchema.safeParse(whole).success;
}

/** The keys of a list of capacity wants. They are computed at the run level, also for a step on targets. */
export function checkCapacity(
  wants: readonly CapacityWant[] | undefined,
  base: JsonPath,
  reader: Reader,
  context: RunbookContext,
): void {
  const seen = new Set<string>();
  for (const [index, want] of (wants ?? []).entries()) {
    const path = typeof want === 'string' ? [...base, index] : [...base, index, 'key'];
    const key = typeof want === 'string' ? want : want.key;
    checkTemplates(key, path, reader, context);
    if (!mayBeKey(key)) {
      const message =
        'a key of capacity is KIND:NAME, such as "db:billing": a lower-case kind, and a name of letters, digits and ._:/@-';
      report(context, 'capacity-key', message, path);
    }
    if (seen.has(key)) {
      report(context, 'capacity-twice', `"${key.slice(0, 60)}" is taken twice; say how many with "units"`, path);
    }
    seen.add(key);
  }
}
