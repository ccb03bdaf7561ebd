import { InvalidDocumentError, type DocumentKind } from '@fettle/contracts';
import {
  attendWaiting,
  listCalendarVersions,
  lookAtClosedNow,
  TARGETS_WAKE,
  wakeRun,
  type Transaction,
} from '@fettle/database';
import type { CheckedDocument } from './check-documents.js';

/** By which path the workflow of a run is woken that waits whole for a calendar. */
const CALENDAR_PATH = '#calendar';

/** A calendar was changed: what waits for one looks at once whether it may go on. */
export async function wakeClosedRuns(transaction: Transaction, space: string): Promise<void> {
  const { withTargets, whole } = await lookAtClosedNow(transaction, space);
  for (const runId of withTargets) await wakeRun(transaction, runId, TARGETS_WAKE);
  for (const runId of whole) await wakeRun(transaction, runId, CALENDAR_PATH);
  await attendWaiting(transaction, space);
}

/** A document among those that are applied together. */
interface Together {
  readonly key: { readonly space: string; readonly kind: DocumentKind; readonly name: string };
}

/**
 * The calendars that a runbook or a schedule names exist, or are applied together with it.
 * @throws InvalidDocumentError at the place of the name
 */
export async function checkNamedCalendars(
  transaction: Transaction,
  { file, places, document }: CheckedDocument,
  all: readonly Together[],
): Promise<void> {
  if (document.kind !== 'Runbook' && document.kind !== 'Schedule') return;
  const { calendars = [] } = document.spec;
  if (calendars.length === 0) return;
  const { space } = document.metadata;
  const stored = new Set((await listCalendarVersions(transaction, space)).map(({ name }) => name));
  const isKnown = (name: string): boolean =>
    stored.has(name) || all.some(({ key }) => key.kind === 'Calendar' && key.space === space && key.name === name);
  const findings = calendars.flatMap((name, index) => {
    if (isKnown(name)) return [];
    const path = ['spec', 'calendars', index];
    const message = `there is no calendar ${name} in the space ${space}`;
    const place = places.valueAt(path);
    return [
      { code: 'unknown-calendar', severity: 'error' as const, message, path: `spec.calendars[${index}]`, ...place },
    ];
  });
  if (findings.length > 0) throw new InvalidDocumentError(file, findings);
}
