import { actionContracts } from '@fettle/activities/contracts';
import { assertTimeZone, calendarChecks, parseCron, timingChecks } from '@fettle/calendar';
import type { Finding } from '@fettle/contracts';
import { orderedFindings, parseDocuments, validateDocuments, type ParsedDocument } from '@fettle/runbook/source';
import type { SourceFile } from './read-sources.js';

export interface CheckedSources {
  readonly documents: readonly ParsedDocument[];
  readonly findings: readonly Finding[];
}

/** All that can be told about documents without a server. */
export function checkSources(sources: readonly SourceFile[]): CheckedSources {
  const parsed = sources.map(({ file, text }) => parseDocuments(text, { file }));
  const documents = parsed.flatMap((result) => result.documents);
  const findings = [
    ...parsed.flatMap((result) => result.findings),
    ...validateDocuments(documents, {
      actions: actionContracts,
      validateCron: parseCron,
      validateTimeZone: assertTimeZone,
      timingChecks,
      calendarChecks,
    }),
  ];
  // All of a file together, in its order, whoever found them.
  const byFile = sources.flatMap(({ file }) =>
    orderedFindings(findings.filter(({ position }) => position?.file === file)),
  );
  const elsewhere = findings.filter(({ position }) => !sources.some(({ file }) => file === position?.file));
  return { documents, findings: [...byFile, ...elsewhere] };
}

export function countErrors(findings: readonly Finding[]): number {
  return findings.filter(({ severity }) => severity === 'error').length;
}
