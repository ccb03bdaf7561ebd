import {
  API_VERSION,
  documentKinds,
  metadataSchema,
  rehearsalDocumentSchema,
  type FettleDocument,
  type Finding,
  type RehearsalDocument,
} from '@fettle/contracts';
import { z } from 'zod';
import { digestOf, isRecord, type JsonObject, type JsonValue } from '../json.js';
import { closestName } from './closest-name.js';
import { knownKinds, likelyKind } from './document-kind.js';
import { DocumentPlaces } from './document-places.js';
import { finding, orderedFindings } from './findings.js';
import { readYaml } from './read-yaml.js';
import { SourceText } from './source-text.js';
import { SourceReader, type SourceValue } from './source-value.js';
import { shapeFindings } from './shape-findings.js';

/** One document of a source: its value as written, the same with defaults where its shape is right, and its places. */
export interface ParsedDocument {
  readonly file: string;
  /** Which document of the source, from 0. */
  readonly index: number;
  /** The value as written, before defaults; what the digest is of. */
  readonly value: JsonValue;
  /** With defaults; null where the shape is wrong (`findings` of the parse tell why). */
  readonly document: FettleDocument | null;
  /** Set where it is a rehearsal, which stands beside documents and is none that a server stores. */
  readonly rehearsal: RehearsalDocument | null;
  /** `sha256:<hex>` of `value`. */
  readonly digest: string;
  readonly places: DocumentPlaces;
}

export interface ParseResult {
  /** Every document that could be read, those of wrong shape included (`document: null`). */
  readonly documents: readonly ParsedDocument[];
  /** In the order of the source. */
  readonly findings: readonly Finding[];
}

/**
 * Reads YAML or JSON text with any number of documents. Never throws for what the text holds: a hostile, broken or unknown
 * text yields findings of severity `error` with `file:line:column`. Bounded by `sourceLimits` in time and memory.
 */
export function parseDocuments(text: string, options: { readonly file: string }): ParseResult {
  // A byte order mark is not part of the first line.
  const source = new SourceText(text.startsWith('\uFEFF') ? text.slice(1) : text, options.file);
  const yaml = readYaml(source);
  const findings: Finding[] = [...yaml.findings];
  if (findings.length > 0) return { documents: [], findings: orderedFindings(findings) };
  const reader = new SourceReader(source, findings);
  const documents: ParsedDocument[] = [];
  for (const [index, document] of yaml.documents.entries()) {
    const contents = document.contents;
    // Comments between two `---` make a document without a value; it says nothing.
    if (contents === null) continue;
    const before = findings.length;
    const read = reader.read(contents);
    if (reader.isOverBudget) break;
    if (read.value === null && findings.length === before) continue;
    // What is wrong in the values would be reported a second time as a wrong shape.
    const isReadable = findings.length === before;
    documents.push(parsedDocument(source, index, read, isReadable ? findings : null));
  }
  if (documents.length === 0 && findings.length === 0) {
    findings.push(finding('no-documents', 'the source holds no document', { position: source.positionAt(0) }));
  }
  return { documents, findings: orderedFindings(findings) };
}

/** `sha256:<hex>` of a document's value as written, before defaults: the name of its version (canonical JSON, RFC 8785). */
export function documentDigest(value: unknown): string {
  return digestOf(value);
}

function parsedDocument(
  source: SourceText,
  index: number,
  read: SourceValue,
  findings: Finding[] | null,
): ParsedDocument {
  const places = new DocumentPlaces(source, read.node);
  const base = { file: source.file, index, value: read.value, digest: documentDigest(read.value), places };
  if (findings === null) return { ...base, document: null, rehearsal: null };
  if (isRecord(read.value) && read.value.kind === 'Rehearsal') {
    return { ...base, document: null, rehearsal: checkRehearsal(read.value, places, findings) };
  }
  return { ...base, document: checkShape(read.value, places, findings), rehearsal: null };
}

function checkRehearsal(value: JsonValue, places: DocumentPlaces, findings: Finding[]): RehearsalDocument | null {
  const result = rehearsalDocumentSchema.safeParse(value);
  if (result.success) return result.data;
  findings.push(...shapeFindings(rehearsalDocumentSchema, result.error.issues, value, places));
  return null;
}

/**
 * Checks a value against the schema of its kind. Returns the document with its defaults, or null after adding findings.
 */
function checkShape(value: JsonValue, places: DocumentPlaces, findings: Finding[]): FettleDocument | null {
  if (!isRecord(value)) {
    const message = 'a document must be an object with apiVersion, kind, metadata and spec';
    findings.push(finding('wrong-type', message, places.valueAt([])));
    return null;
  }
  const { kind } = value;
  const isKnown = typeof kind === 'string' && Object.hasOwn(documentKinds, kind);
  const likely = likelyKind(value);
  if (!isKnown) findings.push(kindFinding(value, knownKinds, places));
  if (likely === null) {
    findings.push(...envelopeFindings(value, places));
    return null;
  }
  const schema = documentKinds[likely];
  const result = schema.safeParse({ ...value, kind: likely });
  if (!isKnown) {
    if (!result.success) findings.push(...shapeFindings(schema, result.error.issues, value, places));
    return null;
  }
  if (result.success) return result.data;
  findings.push(...shapeFindings(schema, result.error.issues, value, places));
  return null;
}

const envelopeSchema = z.looseObject({
  apiVersion: z.literal(API_VERSION).optional(),
  metadata: metadataSchema.optional(),
});

/** Of a document whose kind nobody can guess: what is wrong with the fields that all kinds have, where it has them. */
function envelopeFindings(value: JsonObject, places: DocumentPlaces): readonly Finding[] {
  const result = envelopeSchema.safeParse(value);
  return result.success ? [] : shapeFindings(envelopeSchema, result.error.issues, value, places);
}

function kindFinding(
  value: Readonly<Record<string, unknown>>,
  kinds: readonly string[],
  places: DocumentPlaces,
): Finding {
  const { kind } = value;
  const known = [...kinds, 'Rehearsal'].join(', ');
  if (!Object.hasOwn(value, 'kind')) {
    const misspelt = Object.keys(value).find((key) => closestName(key, ['kind']) !== undefined);
    const message = `the field "kind" is missing; it is one of ${known}`;
    if (misspelt === undefined)
      return finding('missing-field', message, { ...places.valueAt([]), path: ['kind'], text: undefined });
    return finding('missing-field', message, { ...places.keyAt([misspelt]), path: ['kind'], suggestion: 'kind' });
  }
  const place = { ...places.valueAt(['kind']), path: ['kind'] };
  if (typeof kind !== 'string') return finding('wrong-type', `"kind" must be text: one of ${known}`, place);
  const message = `"${kind.slice(0, 60)}" is not a kind of document of ${API_VERSION}; known kinds are ${known}`;
  return finding('unknown-kind', message, { ...place, suggestion: closestName(kind, [...kinds, 'Rehearsal']) });
}
