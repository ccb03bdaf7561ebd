import {
  documentDetailSchema,
  documentSummarySchema,
  type DocumentKind,
  type DocumentSummary,
} from '@fettle/contracts';
import { parseAllDocuments } from 'yaml';
import type { Column } from '../../output/table.js';
import { age, neutralise } from '../../output/text.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';

interface KindOptions extends SpaceOptions {
  readonly kind?: DocumentKind;
}

export async function listDocuments(session: Session, options: KindOptions): Promise<number> {
  const { kind, space } = options;
  const { items } = await session.connect(options).list('/api/v1/documents', documentSummarySchema, { kind, space });
  session.output.list(options.output, items, columns(session), 'No documents.');
  return EXIT.ok;
}

export async function showDocument(
  session: Session,
  kind: DocumentKind,
  name: string,
  options: SpaceOptions & { readonly documentVersion?: string },
): Promise<number> {
  const { space, documentVersion: version } = options;
  const path = `/api/v1/documents/${kind}/${encodeURIComponent(name)}`;
  const document = await session.connect(options).get(path, documentDetailSchema, { space, version });
  const { output } = session;
  const source = output.isTerminal ? neutralise(document.source) : document.source;
  if (options.output === 'table')
    output.note(`# version ${document.number} (${document.version}) of ${document.updatedAt}`);
  output.data(options.output, document, () => source.replace(/\n?$/, '\n'));
  return EXIT.ok;
}

export async function listVersions(
  session: Session,
  kind: DocumentKind,
  name: string,
  options: SpaceOptions,
): Promise<number> {
  const path = `/api/v1/documents/${kind}/${encodeURIComponent(name)}/versions`;
  const { items } = await session.connect(options).list(path, documentSummarySchema, { space: options.space });
  session.output.list(options.output, items, columns(session), 'No versions.');
  return EXIT.ok;
}

/** YAML as its authors wrote it, to apply again; with `-o json` the documents as an array. */
export async function exportDocuments(
  session: Session,
  options: KindOptions & { readonly name?: string },
): Promise<number> {
  const { kind, name, space } = options;
  const { output } = session;
  const chunks = session.connect(options).chunks('/api/v1/documents/export', { kind, name, space });
  if (options.output === 'json') {
    let text = '';
    for await (const chunk of chunks) text += chunk;
    const documents = parseAllDocuments(text).map((document) => document.toJS({ maxAliasCount: 100 }) as unknown);
    output.data(
      'json',
      documents.filter((document) => document !== null),
      () => '',
    );
    return EXIT.ok;
  }
  let isEmpty = true;
  let last = '\n';
  for await (const chunk of chunks) {
    if (chunk === '') continue;
    isEmpty = false;
    last = chunk;
    output.stdout.write(output.isTerminal ? neutralise(chunk) : chunk);
    await output.drained();
  }
  if (!last.endsWith('\n')) output.stdout.write('\n');
  if (isEmpty) output.note('No documents.');
  return EXIT.ok;
}

function columns(session: Session): Column<DocumentSummary>[] {
  const now = session.host.now();
  return [
    { title: 'KIND', value: (document) => document.kind },
    { title: 'NAME', value: (document) => document.name },
    { title: 'VERSION', value: (document) => document.number, align: 'right' },
    { title: 'CHANGED', value: (document) => age(document.updatedAt, now) },
    { title: 'DIGEST', value: (document) => document.version.slice(0, 19) },
  ];
}
