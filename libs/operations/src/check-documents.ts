import { actionContracts } from '@fettle/activities/contracts';
import { assertTimeZone, calendarChecks, parseCron, timingChecks } from '@fettle/calendar';
import { InvalidDocumentError, type FettleDocument, type Finding } from '@fettle/contracts';
import { orderedFindings, parseDocuments, validateDocuments, type ParsedDocument } from '@fettle/runbook/source';

/** A document whose shape and meaning are right. */
export interface CheckedDocument extends ParsedDocument {
  readonly document: FettleDocument;
}

/**
 * Reads a source and checks all that can be told without the database.
 * @throws InvalidDocumentError with all findings, where one of them is an error.
 */
export function checkDocuments(
  source: string,
  file: string,
): { readonly documents: readonly CheckedDocument[]; readonly warnings: readonly Finding[] } {
  const parsed = parseDocuments(source, { file });
  const documents = parsed.documents.filter((document): document is CheckedDocument => document.document !== null);
  // Runbooks first, so that a schedule is checked against its runbook wherever in the source that stands.
  const runbooksFirst = [...parsed.documents].sort((left, right) => rank(left) - rank(right));
  const validated = validateDocuments(runbooksFirst, {
    actions: actionContracts,
    validateCron: parseCron,
    validateTimeZone: assertTimeZone,
    timingChecks,
    calendarChecks,
  });
  const findings = orderedFindings([...parsed.findings, ...validated]);
  if (findings.some((finding) => finding.severity === 'error')) throw new InvalidDocumentError(file, findings);
  return { documents, warnings: findings };
}

function rank({ document }: ParsedDocument): number {
  return document?.kind === 'Runbook' ? 0 : 1;
}
