import { FettleError, InvalidDocumentError, type FettleDocument, type Finding } from '@fettle/contracts';
import { assertTimeZone, parseCron } from '@fettle/calendar';
import { parseSelector } from '@fettle/expression';
import { parseDocuments, type ParsedDocument } from '@fettle/runbook/source';

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
  const findings = [...parsed.findings, ...documents.flatMap(checkOne), ...findDuplicates(documents)];
  if (findings.some((finding) => finding.severity === 'error')) throw new InvalidDocumentError(file, findings);
  return { documents, warnings: findings };
}

function checkOne(document: CheckedDocument): Finding[] {
  const { spec } = document.document;
  const findings: Finding[] = [];
  const { targets } = spec;
  if (targets !== undefined) findings.push(...found(document, ['spec', 'targets'], () => parseSelector(targets)));
  if ('cron' in spec) {
    findings.push(...found(document, ['spec', 'cron'], () => parseCron(spec.cron)));
    findings.push(...found(document, ['spec', 'timeZone'], () => assertTimeZone(spec.timeZone)));
  }
  return findings;
}

function found(document: CheckedDocument, path: readonly string[], check: () => unknown): Finding[] {
  try {
    check();
    return [];
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    const { position, text } = document.places.valueAt(path);
    return [{ code: error.code, severity: 'error', message: error.message, path: path.join('.'), position, text }];
  }
}

function findDuplicates(documents: readonly CheckedDocument[]): Finding[] {
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const { document, places } of documents) {
    const key = `${document.kind}/${document.metadata.space}/${document.metadata.name}`;
    if (seen.has(key)) {
      const { position, text } = places.valueAt(['metadata', 'name']);
      const message = `the ${document.kind} ${document.metadata.name} is there twice`;
      findings.push({ code: 'duplicate-document', severity: 'error', message, path: 'metadata.name', position, text });
    }
    seen.add(key);
  }
  return findings;
}
