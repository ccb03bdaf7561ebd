import type { RunbookDocument, SourcePosition } from '@fettle/contracts';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { ParsedDocument } from '../document/parse-documents.js';
import { formatPath } from '../json.js';
import { contentRules } from './content-rules.js';
import { effectRules } from './effect-rules.js';
import { lintContext, stepAt, type Draft, type LintContext } from './lint-context.js';
import { reachRules } from './reach-rules.js';
import { isLintCode, lintRules, type LintCode, type LintLevel } from './rules.js';

/** What lint found: with its place, and with the reason why it is ignored where the document gives one. */
export interface LintFinding {
  readonly code: LintCode;
  readonly level: LintLevel;
  readonly message: string;
  readonly path: string;
  readonly position: SourcePosition;
  /** Id of the innermost step around it. */
  readonly step?: string | undefined;
  /** The document's own reason; such a finding counts for nothing. */
  readonly ignored?: string | undefined;
}

/** Findings beyond this number of a document are left out. */
const MAX_FINDINGS = 500;

/**
 * What is valid in these documents and yet deserves a second look, by place. Offline and pure; documents of wrong shape, and those
 * that are no runbooks, yield nothing: `validateDocuments` is for them.
 */
export function lintDocuments(
  documents: readonly ParsedDocument[],
  options: { readonly actions: ActionRegistry },
): readonly LintFinding[] {
  const runbooks = documents.filter(isRunbook);
  const siblings = new Map(runbooks.map(({ document }) => [document.metadata.name, document]));
  return runbooks.flatMap((parsed) => lintRunbook(parsed, lintContext(parsed.document, options.actions, siblings)));
}

type ParsedRunbook = ParsedDocument & { readonly document: RunbookDocument };

function isRunbook(parsed: ParsedDocument): parsed is ParsedRunbook {
  return parsed.document?.kind === 'Runbook';
}

function lintRunbook({ places }: ParsedRunbook, context: LintContext): readonly LintFinding[] {
  const ignores = (context.document.spec.lint?.ignore ?? []).map((entry) => ({ ...entry, used: false }));
  const place = (draft: Draft): LintFinding => {
    const { code, message, path, atKey = false } = draft;
    const { position } = atKey ? places.keyAt(path) : places.valueAt(path);
    const step = stepAt(context, path)?.step.id;
    const entry = ignores.find((one) => one.code === code && (one.step === undefined || one.step === step));
    if (entry !== undefined) entry.used = true;
    const ignored = entry === undefined ? {} : { ignored: entry.reason };
    const where = { path: formatPath(path), position };
    return {
      code,
      level: lintRules[code].level,
      message,
      ...where,
      ...(step === undefined ? {} : { step }),
      ...ignored,
    };
  };
  const found = [...effectRules(context), ...reachRules(context), ...contentRules(context)].map(place);
  const unused = ignores.flatMap(({ code, used, step }, index): Draft[] => {
    if (used) return [];
    const known = isLintCode(code) ? 'nothing is found for it' : 'there is no such code';
    const message = `the entry for "${code}"${step === undefined ? '' : ` of step "${step}"`} is not needed: ${known}`;
    return [{ code: 'unused-ignore', message, path: ['spec', 'lint', 'ignore', index] }];
  });
  return [...found, ...unused.map(place)]
    .sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column)
    .slice(0, MAX_FINDINGS);
}
