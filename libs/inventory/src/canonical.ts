import type { ImportRow } from './import-row.js';

/** Trims what a spreadsheet adds: blanks, no-break spaces and tabs at both ends. */
export function trimCell(text: string): string {
  return text.trim();
}

/** The same labels with their keys in code unit order, so that equal sets have equal JSON. */
export function canonicalLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const sorted: Record<string, string> = {};
  for (const key of Object.keys(labels).sort()) sorted[key] = labels[key] ?? '';
  return sorted;
}

/**
 * The rows in one form: sorted by name, labels and groups in code unit order, nothing undefined. Two files that say the same
 * give equal rows (but for `file` and `line`), so a second import of the same file finds nothing to change.
 */
export function canonicalImport(rows: readonly ImportRow[]): ImportRow[] {
  const canonical = rows.map((row) => {
    const copy: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(row)) if (value !== undefined && value !== '') copy[key] = value;
    return {
      ...copy,
      line: row.line,
      name: row.name,
      labels: canonicalLabels(row.labels),
      ...(row.groups === undefined ? {} : { groups: [...new Set(row.groups)].sort() }),
    } satisfies ImportRow;
  });
  return canonical.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
