import type { CapacityWant } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { report, type RunbookContext } from './runbook-context.js';
import { checkTemplates, type Reader } from './step-expressions.js';

/** `db:billing`, `site:ber`: what is written, and what expressions yield, is put together of these. */
const keyPattern = /^[A-Za-z0-9._:/@-]+$/;

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
    const written = key.replace(/\$\{\{.*?\}\}/gs, 'x');
    if (!keyPattern.test(written)) {
      const message = 'a key of capacity holds letters, digits and . _ : / @ - only, such as "db:billing"';
      report(context, 'capacity-key', message, path);
    }
    if (seen.has(key)) {
      report(context, 'capacity-twice', `"${key.slice(0, 60)}" is taken twice; say how many with "units"`, path);
    }
    seen.add(key);
  }
}
