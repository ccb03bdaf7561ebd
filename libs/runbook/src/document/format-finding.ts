import type { Finding } from '@fettle/contracts';

/** Wider lines are cut around the place, so that an excerpt stays readable. */
const MAX_EXCERPT_CHARS = 120;

/**
 * A finding for a person, as compilers print it: `file:line:column: error: message [code]`, the line of the source with a caret
 * under the place, and what was probably meant. `source` is the text of the file; without it the offending text is shown.
 */
export function formatFinding(finding: Finding, source?: string): string {
  const { code, message, path, position, severity, suggestion, text } = finding;
  const place = position === undefined ? '' : `${position.file ?? '-'}:${position.line}:${position.column}: `;
  const lines = [`${place}${severity}: ${message}${path === undefined ? '' : ` (${path})`} [${code}]`];
  const excerpt = position === undefined || source === undefined ? null : excerptAt(source, position, text ?? '');
  if (excerpt !== null) lines.push(...excerpt);
  else if (text !== undefined) lines.push(`    ${printable(text)}`);
  if (suggestion !== undefined) lines.push(`    did you mean "${suggestion}"?`);
  return lines.join('\n');
}

function excerptAt(
  source: string,
  { line, column }: { readonly line: number; readonly column: number },
  text: string,
): readonly string[] | null {
  const full = source
    .replace(/^\uFEFF/, '')
    .split('\n')
    [line - 1]?.replace(/\r$/, '');
  if (full === undefined || full.trim() === '') return null;
  const from = column > MAX_EXCERPT_CHARS - 20 ? column - 40 : 0;
  const shown = full.slice(from, from + MAX_EXCERPT_CHARS);
  const before = shown.slice(0, column - 1 - from);
  const length = Math.max(1, Math.min(text.length, shown.length - before.length));
  // A tab before the caret stays a tab, so that both lines are indented alike.
  const indent = before.replace(/[^\t]/g, ' ');
  const number = String(line);
  return [`${number} | ${printable(shown)}`, `${' '.repeat(number.length)} | ${indent}${'^'.repeat(length)}`];
}

/** Control characters would act on the terminal. */
function printable(text: string): string {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '\uFFFD');
}
