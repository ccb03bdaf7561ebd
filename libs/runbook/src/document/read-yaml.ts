import type { Finding } from '@fettle/contracts';
import { Composer, Lexer, Parser, type CST, type Document } from 'yaml';
import { finding } from './findings.js';
import type { SourceText } from './source-text.js';

/** Limits on a source, checked while it is read, so that a hostile one costs no more than a large honest one. */
export const sourceLimits = Object.freeze({
  maxBytes: 1 << 20,
  maxDocuments: 100,
  /** Collections within collections. */
  maxDepth: 64,
  /** Words and signs of YAML in a whole source. */
  maxTokens: 250_000,
  /** Values in a whole source, those brought in by aliases counted each time. */
  maxNodes: 50_000,
  /** Characters of all texts in a source, those brought in by aliases counted each time. */
  maxTextChars: 4 << 20,
  maxAliases: 200,
  maxSyntaxErrors: 20,
});

/** Stops the reading of a source that is beyond a limit. */
class Refused extends Error {
  readonly finding: Finding;

  constructor(reason: Finding) {
    super(reason.message);
    this.finding = reason;
  }
}

/** Only what YAML 1.2 calls printable (section 5.1): the rest hides from readers and is not storable as text. */

const unprintable = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|[\u{d800}-\u{dfff}]|[\u{fffe}\u{ffff}]/u;

/** The position of the first character that no text of a document may hold, or -1. */
export function findUnprintable(text: string): number {
  return unprintable.exec(text)?.index ?? -1;
}

/** How an unprintable character is written in a message: `U+0000`. */
export function describeCharacter(text: string, offset: number): string {
  return `U+${(text.charCodeAt(offset) || 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Reads the YAML documents of a source. Never throws: what is wrong is in `findings`, and then `documents` may be empty. */
export function readYaml(source: SourceText): { documents: readonly Document.Parsed[]; findings: readonly Finding[] } {
  const refusedSize = checkText(source);
  if (refusedSize !== null) return { documents: [], findings: [refusedSize] };
  const findings: Finding[] = [];
  try {
    const tokens = readTokens(source, findings);
    if (findings.length > 0) return { documents: [], findings };
    return { documents: compose(source, tokens, findings), findings };
  } catch (error) {
    if (error instanceof Refused) return { documents: [], findings: [...findings, error.finding] };
    // The library's own failures are about the text, too: its promise is not to throw, ours is to say where.
    const message = error instanceof Error ? error.message : String(error);
    return {
      documents: [],
      findings: [...findings, finding('yaml-syntax', `cannot be read as YAML: ${message}`, at(source, 0))],
    };
  }
}

function at(
  source: SourceText,
  offset: number,
  end = offset,
): { position: ReturnType<SourceText['positionAt']>; text: string } {
  return { position: source.positionAt(offset), text: source.shown(offset, end) };
}

function checkText(source: SourceText): Finding | null {
  const { text } = source;
  // A character has at most three bytes a code unit, so most sources need not be encoded to be measured.
  const isLarge = text.length * 3 > sourceLimits.maxBytes;
  if (
    isLarge &&
    (text.length > sourceLimits.maxBytes || new TextEncoder().encode(text).length > sourceLimits.maxBytes)
  ) {
    return finding(
      'source-too-large',
      `the source is larger than ${sourceLimits.maxBytes / 1024} KiB; split it into several files`,
      at(source, 0),
    );
  }
  const offset = findUnprintable(text);
  if (offset < 0) return null;
  return finding(
    'unprintable-character',
    `the character ${describeCharacter(text, offset)} is not allowed in a document`,
    at(source, offset),
  );
}

/** The concrete syntax, read token by token without recursion, so that limits hold before anything recursive sees it. */
function readTokens(source: SourceText, findings: Finding[]): readonly CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  const counts = { tokens: 0, documents: 0, aliases: 0, tags: 0, errors: 0 };
  const take = (token: CST.Token): void => {
    if (token.type === 'error') {
      addSyntaxError(
        source,
        findings,
        ++counts.errors,
        token.message,
        token.offset,
        token.offset + token.source.length,
      );
      return;
    }
    if (token.type === 'document' && ++counts.documents > sourceLimits.maxDocuments) {
      throw new Refused(
        finding(
          'too-many-documents',
          `a source holds at most ${sourceLimits.maxDocuments} documents`,
          at(source, token.offset),
        ),
      );
    }
    if (token.type === 'directive' && !/^%YAML\s+1\.2\s*$/.test(token.source)) {
      findings.push(
        finding(
          'directive-refused',
          'no directive but "%YAML 1.2" is allowed',
          at(source, token.offset, token.offset + token.source.length),
        ),
      );
    }
    tokens.push(token);
  };
  for (const lexeme of new Lexer().lex(source.text)) {
    checkLexeme(source, lexeme, parser.offset, counts, findings);
    for (const token of parser.next(lexeme)) take(token);
    // The stack holds the document, the collections that are open and at most one scalar.
    if (parser.stack.length > sourceLimits.maxDepth + 2) {
      throw new Refused(
        finding(
          'too-deep',
          `values are nested more than ${sourceLimits.maxDepth} levels deep`,
          at(source, parser.offset),
        ),
      );
    }
  }
  for (const token of parser.end()) take(token);
  return tokens;
}

function checkLexeme(
  source: SourceText,
  lexeme: string,
  offset: number,
  counts: { tokens: number; aliases: number; tags: number },
  findings: Finding[],
): void {
  const place = (): ReturnType<typeof at> => at(source, offset, offset + lexeme.length);
  if (++counts.tokens > sourceLimits.maxTokens) {
    throw new Refused(
      finding(
        'too-complex',
        `the source has more than ${sourceLimits.maxTokens} words and signs; split it into several files`,
        place(),
      ),
    );
  }
  // Scalars are announced by a sign of their own, so a lexeme that begins with "!", "*" or "&" is a tag, alias or anchor.
  const sign = lexeme[0];
  if (sign === '!' && ++counts.tags <= sourceLimits.maxSyntaxErrors) {
    findings.push(finding('tag-refused', 'tags are not allowed in documents', place()));
  }
  if ((sign === '*' || sign === '&') && lexeme.length > 1 && ++counts.aliases > sourceLimits.maxAliases) {
    throw new Refused(
      finding('too-many-aliases', `a source holds at most ${sourceLimits.maxAliases} anchors and aliases`, place()),
    );
  }
}

function compose(source: SourceText, tokens: readonly CST.Token[], findings: Finding[]): readonly Document.Parsed[] {
  // Unique keys are checked by us: the library compares each key with every other.
  const composer = new Composer({
    version: '1.2',
    schema: 'core',
    uniqueKeys: false,
    strict: true,
    logLevel: 'silent',
  });
  stopAfterErrors(composer, source, findings);
  const documents = [...composer.compose(tokens)];
  for (const error of documents.flatMap((document) => document.errors).slice(0, sourceLimits.maxSyntaxErrors)) {
    findings.push(finding('yaml-syntax', lowerFirst(error.message), at(source, error.pos[0], error.pos[1])));
  }
  return documents;
}

function addSyntaxError(
  source: SourceText,
  findings: Finding[],
  count: number,
  message: string,
  start: number,
  end: number,
): void {
  if (count > sourceLimits.maxSyntaxErrors) {
    throw new Refused(finding('yaml-syntax', 'there are more syntax errors', at(source, start)));
  }
  findings.push(finding('yaml-syntax', lowerFirst(message), at(source, start, end)));
}

/**
 * Makes the composer hand its errors to `findings` and end after a few. It has no option for that, and creating hundreds of
 * thousands of error objects takes many seconds; a release without this member would only be slower (a test would tell).
 */
function stopAfterErrors(composer: Composer, source: SourceText, findings: Finding[]): void {
  let errors = 0;
  const onError = (where: unknown, _code: string, message: string, isWarning?: boolean): void => {
    if (isWarning === true) return;
    const [start, end] = rangeOf(where);
    addSyntaxError(source, findings, ++errors, message, start, end);
  };
  Reflect.set(composer, 'onError', onError);
}

function rangeOf(where: unknown): readonly [number, number] {
  if (typeof where === 'number') return [where, where + 1];
  if (Array.isArray(where)) return [Number(where[0]), Number(where[1])];
  const { offset = 0, source = '' } = where as { offset?: number; source?: unknown };
  return [offset, offset + (typeof source === 'string' ? source.length : 1)];
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
