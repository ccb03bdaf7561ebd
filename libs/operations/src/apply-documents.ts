import { notFoundError, type ApplyResult, type ScheduleDocument } from '@fettle/contracts';
import {
  addDocumentVersion,
  findDocument,
  isForeignKeyViolation,
  lockBaselines,
  lockDocument,
  type DocumentKey,
  type StoredDocument,
} from '@fettle/database';
import { diffDocuments, formatDiffLine } from '@fettle/runbook/source';
import { uuidv7 } from 'uuidv7';
import { checkNamedCalendars, wakeClosedRuns } from './apply-calendar.js';
import { checkAfters } from './check-afters.js';
import { checkDocuments, type CheckedDocument } from './check-documents.js';
import type { OperationContext } from './context.js';
import { checkBaselinePriority } from './patch-baselines.js';
import { recordAudit } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { checkCapacityKey, setCapacityLimit } from './set-capacity-limit.js';
import { settlePending } from './resume-schedule.js';
import { splitSource } from './split-source.js';
import { checkScheduleRunbook, rejudgeSchedule, upsertSchedule } from './upsert-schedule.js';

export interface ApplyRequest {
  readonly source: string;
  /** Name of the file, for findings. */
  readonly file?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

type ApplyItem = ApplyResult['items'][number];

interface Planned {
  readonly key: DocumentKey;
  readonly checked: CheckedDocument;
  readonly source: string;
}

/**
 * Applies all documents of a source, or none. A version is immutable and named by its digest; a new one is made only where the
 * digest is not that of the current version. With `dryRun` nothing is written and the result says what would be.
 * @throws InvalidDocumentError, FettleError `denied`, `not-found` (a space).
 */
export async function applyDocuments(context: OperationContext, request: ApplyRequest): Promise<ApplyResult> {
  const file = request.file ?? 'source';
  const { documents, warnings } = checkDocuments(request.source, file);
  for (const { document } of documents) requireUnnarrowed(context, 'document:write', document.metadata.space);
  const texts = splitSource(request.source, documents);
  const planned = documents
    .map((checked, index): Planned => {
      const { kind, metadata } = checked.document;
      return { key: { kind, space: metadata.space, name: metadata.name }, checked, source: texts[index] ?? '' };
    })
    // One order of locks for everybody; and a Runbook comes before the Schedule that names it.
    .sort((left, right) => (sortKey(left.key) < sortKey(right.key) ? -1 : 1));
  const withBaselines = planned.filter(({ key }) => key.kind === 'PatchBaseline').map(({ key }) => key.space);
  if (!request.dryRun)
    for (const space of [...new Set(withBaselines)].sort()) await lockBaselines(context.transaction, space);
  const apply = request.dryRun ? previewOne : applyOne;
  const items: ApplyItem[] = [];
  for (const plan of planned) items.push(await apply(context, plan, planned));
  await checkAfters(context.transaction, documents);
  return { items, findings: warnings.map((finding) => ({ ...finding })) };
}

function sortKey({ kind, space, name }: DocumentKey): string {
  return `${kind}\0${space}\0${name}`;
}

async function applyOne(context: OperationContext, plan: Planned, all: readonly Planned[]): Promise<ApplyItem> {
  const { transaction, actor } = context;
  const { key, checked } = plan;
  const documentId = await lockDocument(transaction, { ...key, newId: uuidv7() }).catch((error: unknown) => {
    if (!isForeignKeyViolation(error)) throw error;
    throw notFoundError('space', key.space, { cause: error });
  });
  const current = await findDocument(transaction, key);
  const isUnchanged = current?.version === checked.digest;
  const previewed = await previewOne(context, plan, all, current);
  if (isUnchanged) {
    if (checked.document.kind === 'Schedule') await applyAgain(context, documentId, checked.document);
    return previewed;
  }
  if (current && key.kind === 'Schedule') await settlePending(transaction, documentId);
  const number = await addDocumentVersion(transaction, {
    ...key,
    id: uuidv7(),
    documentId,
    digest: checked.digest,
    source: plan.source,
    parsed: checked.document,
    createdBy: actor.name,
  });
  if (checked.document.kind === 'Schedule') {
    await upsertSchedule(context, { documentId, document: checked.document, previous: scheduleOf(current) });
  }
  if (checked.document.kind === 'Calendar') await wakeClosedRuns(transaction, key.space);
  if (checked.document.kind === 'Capacity') await setCapacityLimit(transaction, checked.document);
  await recordAudit(context, {
    action: 'document.apply',
    space: key.space,
    object: { kind: key.kind, name: key.name, id: documentId },
    detail: { version: checked.digest, number, previous: current?.version ?? null },
  });
  return { ...previewed, number };
}

/** The same document once more: what it makes no difference to stays as it is, but a quarantine is judged anew. */
async function applyAgain(context: OperationContext, id: string, document: ScheduleDocument): Promise<void> {
  const quarantineReason = await rejudgeSchedule(context.transaction, id, document);
  if (quarantineReason === null) return;
  const { space, name } = document.metadata;
  await recordAudit(context, {
    action: 'document.apply',
    space,
    object: { kind: 'Schedule', name, id },
    detail: { isUnchanged: true, quarantineReason },
  });
}

async function previewOne(
  context: OperationContext,
  { key, checked }: Planned,
  all: readonly Planned[],
  known?: StoredDocument | null,
): Promise<ApplyItem> {
  const current = known === undefined ? await findDocument(context.transaction, key) : known;
  const { document, digest } = checked;
  if (document.kind === 'Schedule') {
    const together = all.find(({ key: other }) => isRunbookOf(other, document))?.checked.document;
    await checkScheduleRunbook(context, checked, document, together?.kind === 'Runbook' ? together : null);
  }
  await checkNamedCalendars(context.transaction, checked, all);
  await checkBaselinePriority(context.transaction, checked, all);
  if (document.kind === 'Capacity') await checkCapacityKey(context.transaction, checked, document);
  const item = { ...key, version: digest };
  if (!current) return { ...item, number: 1, result: 'created', diff: [`+ ${key.kind} ${key.space}/${key.name}`] };
  if (current.version === digest) return { ...item, number: current.number, result: 'unchanged', diff: [] };
  return {
    ...item,
    number: current.number + 1,
    result: 'changed',
    diff: diffDocuments(current.parsed, document).map(formatDiffLine),
  };
}

function isRunbookOf(key: DocumentKey, schedule: ScheduleDocument): boolean {
  return key.kind === 'Runbook' && key.space === schedule.metadata.space && key.name === schedule.spec.runbook;
}

function scheduleOf(stored: StoredDocument | null): ScheduleDocument | null {
  return stored?.kind === 'Schedule' ? (stored.parsed as ScheduleDocument) : null;
}
