import type {
  CalendarSpec,
  Finding,
  PatchBaselineSpec,
  RunbookSpec,
  ScheduleDocument,
  ScheduleSpec,
} from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import { parseSelector } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { checkExpression } from './expression-findings.js';
import { finding, orderedFindings } from './findings.js';
import type { ParsedDocument } from './parse-documents.js';
import { validateInputs } from './validate-inputs.js';
import { validateDraft } from './validate-draft.js';
import { validateNotify, validateScheduleNotify } from './validate-notify.js';
import { validateRehearsal } from './validate-rehearsal.js';
import { validateRunbook } from './validate-runbook.js';

/** One piece of when a schedule is due: where it stands in `spec`, and what throws FettleError where it is wrong. */
export interface TimingPiece {
  readonly path: JsonPath;
  readonly source: string;
  readonly check: () => unknown;
}

export interface ValidateOptions {
  readonly actions: ActionRegistry;
  /** Throws FettleError for a cron text that is wrong, with its position in the text (`parseCron` of the calendar room). */
  readonly validateCron?: ((cron: string) => unknown) | undefined;
  /** The pieces of when a schedule is due (`timingChecks` of the calendar room); without it only cron text and zone are checked. */
  readonly timingChecks?: ((spec: ScheduleSpec) => readonly TimingPiece[]) | undefined;
  /** The pieces of a calendar (`calendarChecks` of the calendar room); without it only its selector is checked. */
  readonly calendarChecks?: ((spec: CalendarSpec) => readonly TimingPiece[]) | undefined;
  /** Throws FettleError for a zone that is not known (`assertTimeZone` of the calendar room). */
  readonly validateTimeZone?: ((timeZone: string) => unknown) | undefined;
  /** Runbooks that are known besides the documents: what a `call` of one that is not among them is checked against. */
  readonly findRunbook?: ((space: string, name: string) => RunbookSpec | undefined) | undefined;
}

/**
 * What is wrong with documents of right shape, beyond their shape: actions and their inputs, expressions and what they may
 * read, schemas, selectors, schedules. Works offline. Of documents of wrong shape, whose findings came from parsing, it tells what
 * can be told field by field.
 */
export function validateDocuments(documents: readonly ParsedDocument[], options: ValidateOptions): readonly Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, ParsedDocument>();
  const runbooks = runbooksOf(documents);
  for (const parsed of documents) {
    const { document, places, rehearsal } = parsed;
    if (rehearsal !== null) {
      validateRehearsal(rehearsal, parsed, documents, options, findings);
      continue;
    }
    if (document === null) {
      validateDraft(parsed, options, findings);
      continue;
    }
    const key = `${document.kind}/${document.metadata.space}/${document.metadata.name}`;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, parsed);
    else findings.push(duplicate(parsed, first, key));
    if (document.kind === 'Runbook') {
      const { space, name } = document.metadata;
      const find = (called: string) => runbooks.get(`${space}/${called}`) ?? options.findRunbook?.(space, called);
      validateRunbook(document.spec, places, options.actions, { space, name, find }, findings);
      validateNotify(document.spec, places, options.actions, findings);
    } else if (document.kind === 'Schedule') validateSchedule(document, parsed, options, seen, findings);
    else if (document.kind === 'Calendar') validateCalendar(document.spec, parsed, options, findings);
    else if (document.kind === 'PatchBaseline') validateBaseline(document.spec, parsed, findings);
  }
  // A file may be one of several, so findings stay together by file.
  const files = [...new Set(documents.map((parsed) => parsed.file))];
  return files.flatMap((file) => orderedFindings(findings.filter((found) => found.position?.file === file)));
}

/** By space and name, wherever they stand: a runbook may call one that comes later. */
function runbooksOf(documents: readonly ParsedDocument[]): ReadonlyMap<string, RunbookSpec> {
  return new Map(
    documents.flatMap(({ document }) => {
      if (document?.kind !== 'Runbook') return [];
      return [[`${document.metadata.space}/${document.metadata.name}`, document.spec] as const];
    }),
  );
}

function duplicate(parsed: ParsedDocument, first: ParsedDocument, key: string): Finding {
  const place = parsed.places.valueAt(['metadata', 'name']);
  const { file, line, column } = first.places.valueAt(['metadata', 'name']).position;
  return finding('duplicate-document', `${key} is given twice; first at ${file}:${line}:${column}`, {
    path: ['metadata', 'name'],
    ...place,
  });
}

const textChecks =
  ({ validateCron, validateTimeZone }: ValidateOptions) =>
  ({ cron, timeZone }: ScheduleSpec): TimingPiece[] => [
    ...(cron === undefined ? [] : [{ path: ['cron'], source: cron, check: () => validateCron?.(cron) }]),
    { path: ['timeZone'], source: timeZone, check: () => validateTimeZone?.(timeZone) },
  ];

function validateCalendar(
  spec: CalendarSpec,
  { places }: ParsedDocument,
  { calendarChecks }: ValidateOptions,
  findings: Finding[],
): void {
  const at = (path: JsonPath, source: string) => ({ places, path: ['spec', ...path], offset: 0, source });
  for (const { path, source, check } of calendarChecks?.(spec) ?? [])
    checkExpression(at(path, source), findings, check);
  const { assets } = spec;
  if (assets !== undefined) checkExpression(at(['assets'], assets), findings, () => parseSelector(assets));
}

function validateBaseline({ assets }: PatchBaselineSpec, { places }: ParsedDocument, findings: Finding[]): void {
  if (assets === undefined) return;
  const place = { places, path: ['spec', 'assets'], offset: 0, source: assets };
  checkExpression(place, findings, () => parseSelector(assets));
}

function validateSchedule(
  { spec, metadata }: ScheduleDocument,
  { places }: ParsedDocument,
  options: ValidateOptions,
  seen: ReadonlyMap<string, ParsedDocument>,
  findings: Finding[],
): void {
  const at = (path: JsonPath, source: string) => ({ places, path: ['spec', ...path], offset: 0, source });
  for (const { path, source, check } of (options.timingChecks ?? textChecks(options))(spec)) {
    checkExpression(at(path, source), findings, check);
  }
  const { targets } = spec;
  if (targets !== undefined) checkExpression(at(['targets'], targets), findings, () => parseSelector(targets));
  validateScheduleNotify(spec, places, options.actions, findings);
  // The runbook may stand elsewhere; the server checks the inputs against the version it knows.
  const runbook = seen.get(`Runbook/${metadata.space}/${spec.runbook}`)?.document;
  if (runbook?.kind !== 'Runbook') return;
  for (const found of validateInputs(runbook.spec, spec.inputs).findings) {
    if (found.code !== 'invalid-inputs') continue;
    const name = /^inputs\.([\w$-]+)/.exec(found.path ?? '')?.[1];
    const path = name === undefined ? ['spec', 'inputs'] : ['spec', 'inputs', name];
    findings.push({ ...found, path: `spec.${found.path ?? 'inputs'}`, position: places.keyAt(path).position });
  }
}
