import {
  durationMs,
  FettleError,
  InvalidDocumentError,
  type RunbookDocument,
  type ScheduleDocument,
} from '@fettle/contracts';
import { isDeepStrictEqual } from 'node:util';
import { nextInstants, previousInstant } from '@fettle/calendar';
import {
  findDocument,
  findSchedule,
  restartSchedule,
  saveNextAt,
  saveScheduleAfter,
  saveScheduleDeadlines,
  saveScheduleNotify,
  saveScheduleOwner,
  type Transaction,
} from '@fettle/database';
import { validateInputs } from '@fettle/runbook/source';
import type { CheckedDocument } from './check-documents.js';
import { checkSecretInputs } from './check-input-names.js';
import type { OperationContext } from './context.js';
import { placeSchedule } from './place-schedule.js';
import { quarantine } from './quarantine-schedule.js';
import { recurrenceOf, timingOf } from './recurrence-of.js';

export interface UpsertScheduleRequest {
  readonly documentId: string;
  readonly document: ScheduleDocument;
  /** The version before; null: the schedule is new. */
  readonly previous: ScheduleDocument | null;
}

/** The first instant after a moment, null where there is none. */
export function nextFireAt(document: ScheduleDocument, after: Date): Date | null {
  const [next] = nextInstants({ ...recurrenceOf(document), after, count: 1 });
  return next === undefined ? null : new Date(next.at);
}

/**
 * Makes the schedule's row follow its document: instants count from now on where it is new or when it is due has changed, and
 * Temporal is told through the outbox. Runs start on behalf of whoever applied the newest version, so that nobody makes a schedule
 * run with another's rights by changing it.
 */
export async function upsertSchedule(context: OperationContext, request: UpsertScheduleRequest): Promise<void> {
  const { transaction, actor } = context;
  const { documentId: id, document, previous } = request;
  const { metadata, spec } = document;
  if (actor.principalId === null) {
    throw new FettleError({ code: 'denied', message: 'A schedule needs a principal on whose behalf its runs start.' });
  }
  const { space, name } = metadata;
  const pauseOnFailure = spec.pauseOnFailure === true;
  await saveScheduleOwner(transaction, { id, space, name, createdBy: actor.principalId, pauseOnFailure });
  await saveScheduleAfter(transaction, id, spec.after?.schedule ?? null);
  await saveScheduleDeadlines(transaction, id, {
    startMs: spec.mustStartBy === undefined ? null : durationMs(spec.mustStartBy),
    finishMs: spec.mustFinishBy === undefined ? null : durationMs(spec.mustFinishBy),
  });
  await saveScheduleNotify(transaction, id, spec.notify ?? null);
  const isSame = previous !== null && isDeepStrictEqual(timingOf(previous), timingOf(document));
  if (!isSame || (await quarantineOf(transaction, document)) !== null) await restart(transaction, id, document);
}

/**
 * Judges a quarantined schedule anew whose document is applied once more as it is: what stood against it may be over.
 * @returns the reason that there was; null: it was not quarantined, nothing is done
 */
export async function rejudgeSchedule(
  transaction: Transaction,
  id: string,
  document: ScheduleDocument,
): Promise<string | null> {
  const reason = await quarantineOf(transaction, document);
  if (reason !== null) await restart(transaction, id, document);
  return reason;
}

async function quarantineOf(transaction: Transaction, { metadata }: ScheduleDocument): Promise<string | null> {
  const { space, name } = metadata;
  return (await findSchedule(transaction, { space, name }))?.quarantineReason ?? null;
}

/** Counts its instants anew, has Temporal told, and quarantines it where there is none. */
async function restart(transaction: Transaction, id: string, document: ScheduleDocument): Promise<void> {
  const { watermark } = await restartSchedule(transaction, id);
  const nextAt = nextFireAt(document, watermark);
  await saveNextAt(transaction, id, nextAt);
  const recurrence = recurrenceOf(document);
  if (
    nextAt === null &&
    document.spec.after === undefined &&
    previousInstant({ ...recurrence, before: watermark }) === null
  ) {
    const { space, name } = document.metadata;
    const reason = 'it is never due: by its rule, bounds and exclusions there is no instant';
    return quarantine(transaction, { id, space, name }, 'invalid-schedule', reason);
  }
  await placeSchedule(transaction, id, document, watermark);
}

/**
 * Checks that a schedule's runbook exists, its inputs against the stored one (where both are applied together, validation has
 * compared them already), and that secret inputs name credentials: a secret itself must not come into a document.
 * @throws InvalidDocumentError at the place of `spec.runbook` or `spec.inputs`; FettleError `denied` as `checkInputNames`
 */
export async function checkScheduleRunbook(
  context: OperationContext,
  { file, places }: CheckedDocument,
  schedule: ScheduleDocument,
  together: RunbookDocument | null,
): Promise<void> {
  const { space } = schedule.metadata;
  const { runbook, inputs } = schedule.spec;
  const stored =
    together ?? (await findDocument(context.transaction, { space, kind: 'Runbook', name: runbook }))?.parsed;
  if (stored === undefined) {
    const message = `there is no runbook ${runbook} in the space ${space}`;
    const place = places.valueAt(['spec', 'runbook']);
    throw new InvalidDocumentError(file, [
      { code: 'unknown-runbook', severity: 'error', message, path: 'spec.runbook', ...place },
    ]);
  }
  const { spec } = stored as RunbookDocument;
  const checked = validateInputs(spec, inputs);
  const found =
    checked.inputs === null
      ? checked.findings
      : await checkSecretInputs(context, { space, spec, inputs: checked.inputs });
  if (found.length === 0) return;
  const place = places.valueAt(['spec', 'inputs']);
  const findings = found.map((finding) => ({ ...finding, path: `spec.${finding.path ?? 'inputs'}`, ...place }));
  throw new InvalidDocumentError(file, findings);
}
