import { parseDocuments, type ParsedDocument } from '@fettle/runbook/source';
import { parseAllDocuments, stringify } from 'yaml';

/**
 * The text of each document of a source as its author wrote it, comments included, without the `---` around it. A text that
 * would not read back as the same document (one that shares something with its neighbours) is written anew from its value.
 */
export function splitSource(source: string, documents: readonly ParsedDocument[]): string[] {
  const text = source.startsWith('\uFEFF') ? source.slice(1) : source;
  const pieces: string[] = [];
  let from = 0;
  // The source was read within limits before: what comes here is small and has no aliases to expand.
  for (const { range } of parseAllDocuments(text)) {
    pieces.push(text.slice(from, range[2]));
    from = range[2];
  }
  return documents.map((document) => {
    const piece = trimMarkers(pieces[document.index] ?? '');
    const [read] = parseDocuments(piece, { file: document.file }).documents;
    return read?.digest === document.digest ? piece : stringify(document.value);
  });
}

function trimMarkers(piece: string): string {
  const body = piece.replace(/^\s*---[ \t]*(\r?\n)?/, '').replace(/(^|\n)(---|\.\.\.)\s*$/, '$1');
  return `${body.trim()}\n`;
}
