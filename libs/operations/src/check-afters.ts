import { InvalidDocumentError, type Finding, type ScheduleDocument } from '@fettle/contracts';
import { listAfters, type Transaction } from '@fettle/database';
import type { CheckedDocument } from './check-documents.js';

/**
 * Checks whom the schedules of a source follow: each is there, in the space or in the source, and none follows itself through others.
 * @throws InvalidDocumentError at the place of `spec.after.schedule`; of a circle the message names the way
 */
export async function checkAfters(transaction: Transaction, documents: readonly CheckedDocument[]): Promise<void> {
  const schedules = documents.flatMap((checked) =>
    checked.document.kind === 'Schedule' ? [{ checked, document: checked.document }] : [],
  );
  const spaces = new Set(
    schedules
      .filter(({ document }) => document.spec.after !== undefined)
      .map(({ document }) => document.metadata.space),
  );
  for (const space of spaces) {
    const own = schedules.filter(({ document }) => document.metadata.space === space);
    const afters = new Map(await listAfters(transaction, space));
    for (const { document } of own) afters.set(document.metadata.name, document.spec.after?.schedule ?? null);
    for (const { checked, document } of own) {
      const message = problemOf(document, afters);
      if (message === null) continue;
      const place = checked.places.valueAt(['spec', 'after', 'schedule']);
      const finding: Finding = { ...message, severity: 'error', path: 'spec.after.schedule', ...place };
      throw new InvalidDocumentError(checked.file, [finding]);
    }
  }
}

function problemOf(
  { metadata, spec }: ScheduleDocument,
  afters: ReadonlyMap<string, string | null>,
): Pick<Finding, 'code' | 'message'> | null {
  const first = spec.after?.schedule;
  if (first === undefined) return null;
  if (!afters.has(first))
    return { code: 'unknown-schedule', message: `there is no schedule ${first} in the space ${metadata.space}` };
  const way = [metadata.name];
  // No way is longer than there are schedules: a name that comes again closes a circle.
  for (let next: string | null | undefined = first; next !== null && next !== undefined; next = afters.get(next)) {
    way.push(next);
    if (next === metadata.name)
      return { code: 'schedule-circle', message: `it would follow itself: ${way.join(' follows ')}` };
    // A circle that does not lead through this one was there before it.
    if (way.length > afters.size + 1) return null;
  }
  return null;
}
