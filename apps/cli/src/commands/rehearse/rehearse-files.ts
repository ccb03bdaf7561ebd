import { writeFile } from 'node:fs/promises';
import { actionContracts } from '@fettle/activities/contracts';
import { FettleError, InvalidDocumentError } from '@fettle/contracts';
import {
  rehearse,
  shareOf,
  type Coverage,
  type ParsedDocument,
  type RehearsedCase,
  type RehearseReport,
} from '@fettle/runbook/source';
import type { OutputFormat } from '../../output/output.js';
import { plural } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session } from '../../session/session.js';
import { checkSources, countErrors } from '../document/check-sources.js';
import { findingText } from '../document/finding-text.js';
import { readSources } from '../document/read-sources.js';
import { junitXml } from './junit.js';
import { reportText } from './report-text.js';

export interface RehearseOptions {
  readonly file: readonly string[];
  readonly output: OutputFormat;
  readonly case?: string;
  readonly entries?: boolean;
  readonly junit?: string;
  readonly minCoverage?: number;
  readonly minCompensation?: number;
}

/** Exit 1 where a case is not as expected, or coverage is too low; findings in the documents come first. */
export async function rehearseFiles(session: Session, options: RehearseOptions): Promise<number> {
  const { output } = session;
  const sources = await readSources(session.host, options.file);
  output.findingRenderer = (finding, colours) => findingText(finding, sources, colours);
  const { documents, findings } = checkSources(sources);
  if (countErrors(findings) > 0) {
    throw new InvalidDocumentError(sources.map(({ file }) => file).join(', '), findings);
  }
  const isWanted = (name: string): boolean => name.includes(options.case ?? '');
  requireCases(documents, isWanted);
  const report = rehearse(documents, { actions: actionContracts, isWanted, nowMs: () => performance.now() });
  if (options.junit !== undefined) await writeFile(options.junit, junitXml(report));
  const { colours } = output;
  output.data(options.output, jsonReport(report, options.entries === true), () =>
    reportText(report, { colours, withEntries: options.entries === true, sources }),
  );
  const failed = report.cases.filter(({ failures }) => failures.length > 0);
  const low = report.coverage.flatMap((coverage) => tooLow(coverage, options));
  const passed = report.cases.length - failed.length;
  output.note(`${plural(passed, 'case')} as expected, ${failed.length} not`);
  for (const line of low) output.note(line);
  return failed.length + low.length > 0 ? EXIT.error : EXIT.ok;
}

/** @throws FettleError `not-found` where there is nothing to rehearse */
function requireCases(documents: readonly ParsedDocument[], isWanted: (name: string) => boolean): void {
  const names = documents.flatMap(({ rehearsal }) =>
    rehearsal === null ? [] : rehearsal.spec.cases.map(({ name }) => `${rehearsal.metadata.name}/${name}`),
  );
  if (names.some(isWanted)) return;
  if (names.length > 0)
    throw new FettleError({ code: 'not-found', message: 'No case has a name with that text in it.' });
  throw new FettleError({
    code: 'not-found',
    message: 'The files hold no rehearsal: no document of kind Rehearsal.',
    remedy: 'Write one beside the runbook; see docs/reference/rehearse.md.',
  });
}

function tooLow({ runbook, steps, compensation }: Coverage, options: RehearseOptions): readonly string[] {
  const bounds = [
    ['step coverage', shareOf(steps), options.minCoverage],
    ['compensation coverage', shareOf(compensation), options.minCompensation],
  ] as const;
  return bounds.flatMap(([what, share, min]) =>
    min === undefined || share * 100 >= min
      ? []
      : [`${what} of ${runbook} is ${(share * 100).toFixed(1)} %, less than ${min} %`],
  );
}

function jsonReport({ cases, coverage }: RehearseReport, withEntries: boolean): unknown {
  return { cases: cases.map((one) => jsonCase(one, withEntries)), coverage };
}

function jsonCase({ simulation, failures, ...one }: RehearsedCase, withEntries: boolean): unknown {
  const { finish = null, targets = {}, durationMs = 0, entries = [] } = simulation ?? {};
  return {
    ...one,
    passed: failures.length === 0,
    failures,
    state: finish?.state ?? null,
    error: finish?.error ?? null,
    outputs: finish?.outputs ?? null,
    summary: finish?.summary ?? null,
    targets,
    simulatedMs: durationMs,
    ...(withEntries || failures.length > 0 ? { entries } : {}),
  };
}
