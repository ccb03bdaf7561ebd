import type { Finding } from '@fettle/contracts';
import { isAlias, isMap, isScalar, isSeq, type ParsedNode, type YAMLMap } from 'yaml';
import { forbiddenKeys, type JsonPath, type JsonValue } from '../json.js';
import { finding } from './findings.js';
import { describeCharacter, findUnprintable, sourceLimits } from './read-yaml.js';
import type { SourceText } from './source-text.js';

/** Where a value stands: offsets in the source, and those of its members and items. */
export interface SourceNode {
  readonly start: number;
  readonly end: number;
  /** For a plain or quoted text written on one line without escapes: where its first character stands. */
  readonly textStart?: number | undefined;
  /** Where the key stands, for members of an object. */
  readonly key?: { readonly start: number; readonly end: number } | undefined;
  readonly children: ReadonlyMap<string | number, SourceNode>;
}

export interface SourceValue {
  readonly value: JsonValue;
  readonly node: SourceNode;
}

const noChildren: ReadonlyMap<string | number, SourceNode> = new Map();

/** Turns the nodes of one source into JSON values with their places; the budget is shared by all documents of a source. */
export class SourceReader {
  readonly #source: SourceText;
  readonly #findings: Finding[];
  readonly #anchors = new Map<string, { node: ParsedNode; open: boolean }>();
  #nodes = 0;
  #textChars = 0;
  #isOverBudget = false;

  constructor(source: SourceText, findings: Finding[]) {
    this.#source = source;
    this.#findings = findings;
  }

  /** Whether a limit was passed: the rest of the source was not looked at. */
  get isOverBudget(): boolean {
    return this.#isOverBudget;
  }

  read(contents: ParsedNode): SourceValue {
    this.#anchors.clear();
    return this.#read(contents, [], undefined);
  }

  #read(node: ParsedNode, path: JsonPath, key: SourceNode['key']): SourceValue {
    const [start, end] = node.range;
    const empty: SourceValue = { value: null, node: { start, end, key, children: noChildren } };
    if (this.#isOverBudget || !this.#spend(start, path)) return empty;
    if (isAlias(node)) return this.#readAlias(node.source, empty, path);
    const anchor = node.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, { node, open: true });
    const result = this.#readPlain(node, path, empty);
    if (anchor !== undefined) this.#anchors.set(anchor, { node, open: false });
    return result;
  }

  #spend(offset: number, path: JsonPath): boolean {
    this.#nodes += 1;
    const { maxNodes, maxDepth } = sourceLimits;
    if (this.#nodes > maxNodes)
      return this.#refuse('too-complex', `the source holds more than ${maxNodes} values`, offset);
    if (path.length > maxDepth)
      return this.#refuse('too-deep', `values are nested more than ${maxDepth} levels deep`, offset);
    return true;
  }

  #refuse(code: string, message: string, offset: number): false {
    this.#findings.push(finding(code, message, { position: this.#source.positionAt(offset) }));
    this.#isOverBudget = true;
    return false;
  }

  #readAlias(name: string, empty: SourceValue, path: JsonPath): SourceValue {
    const { start, end, key } = empty.node;
    const anchor = this.#anchors.get(name);
    if (anchor === undefined || anchor.open) {
      const message =
        anchor === undefined ? `there is no anchor "${name}" before this alias` : `the alias "${name}" contains itself`;
      this.#report('invalid-alias', message, start, end, path);
      return empty;
    }
    return this.#readPlain(anchor.node, path, { value: null, node: { start, end, key, children: noChildren } });
  }

  #readPlain(node: ParsedNode, path: JsonPath, empty: SourceValue): SourceValue {
    if (isMap(node)) return this.#readMap(node, path, empty.node);
    if (isSeq(node)) {
      const children = new Map<string | number, SourceNode>();
      const value = node.items.map((item, index) => {
        const read = this.#read(item, [...path, index], undefined);
        children.set(index, read.node);
        return read.value;
      });
      return { value, node: { ...empty.node, children } };
    }
    if (isScalar(node)) return this.#readScalar(node, path, empty);
    return empty;
  }

  #readMap(map: YAMLMap.Parsed, path: JsonPath, place: SourceNode): SourceValue {
    const children = new Map<string | number, SourceNode>();
    const members: [string, JsonValue][] = [];
    for (const pair of map.items) {
      if (this.#isOverBudget) break;
      const key = this.#readKey(pair.key, place.start, path);
      if (key === null) continue;
      const before = children.get(key.name);
      if (before?.key !== undefined) {
        const first = this.#source.positionAt(before.key.start);
        const message = `the key "${shorten(key.name)}" is given twice; first at ${first.line}:${first.column}`;
        this.#report('duplicate-key', message, key.start, key.end, [...path, key.name]);
        continue;
      }
      const keyPlace = { start: key.start, end: key.end };
      const read = pair.value
        ? this.#read(pair.value, [...path, key.name], keyPlace)
        : { value: null, node: { ...keyPlace, key: keyPlace, children: noChildren } };
      children.set(key.name, read.node);
      members.push([key.name, read.value]);
    }
    return { value: Object.fromEntries(members), node: { ...place, children } };
  }

  #readKey(node: ParsedNode | null, from: number, path: JsonPath): { name: string; start: number; end: number } | null {
    const [start, end] = node?.range ?? [from, from];
    const name: unknown = isScalar(node) ? node.value : undefined;
    if (typeof name !== 'string') {
      const message = 'a key must be text; put it in quotes if it looks like a number, true, false or null';
      this.#report('non-string-key', message, start, end, path);
      return null;
    }
    if (name === '<<') {
      this.#report(
        'merge-key-refused',
        'merge keys ("<<") are not part of YAML 1.2; write the members out',
        start,
        end,
        path,
      );
      return null;
    }
    if (forbiddenKeys.has(name)) {
      this.#report('forbidden-key', `the key "${name}" is not allowed`, start, end, path);
      return null;
    }
    return this.#checkText(name, start, end, path) ? { name, start, end } : null;
  }

  #readScalar(node: ParsedNode & { value: unknown }, path: JsonPath, empty: SourceValue): SourceValue {
    const { value } = node;
    const { start, end } = empty.node;
    if (typeof value === 'string') {
      if (!this.#checkText(value, start, end, path)) return empty;
      return { value, node: { ...empty.node, textStart: textStart(this.#source, node, value) } };
    }
    if (
      typeof value === 'number' &&
      (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    ) {
      const why = Number.isFinite(value)
        ? 'the number is beyond 2^53 and would lose digits; put it in quotes'
        : 'the number is not finite';
      this.#report('invalid-number', why, start, end, path);
      return empty;
    }
    if (value === null || typeof value === 'boolean' || typeof value === 'number')
      return { ...empty, value: value === 0 ? 0 : value };
    this.#report('wrong-type', 'the value is not text, a number, true, false or null', start, end, path);
    return empty;
  }

  /** Escapes can write characters that the source itself may not hold. */
  #checkText(text: string, start: number, end: number, path: JsonPath): boolean {
    this.#textChars += text.length;
    const max = sourceLimits.maxTextChars;
    if (this.#textChars > max)
      return this.#refuse('too-complex', `the texts of the source have more than ${max} characters`, start);
    const offset = findUnprintable(text);
    if (offset < 0) return true;
    this.#report(
      'unprintable-character',
      `the character ${describeCharacter(text, offset)} is not allowed in a document`,
      start,
      end,
      path,
    );
    return false;
  }

  #report(code: string, message: string, start: number, end: number, path: JsonPath): void {
    const text = this.#source.shown(start, end);
    this.#findings.push(finding(code, message, { path, position: this.#source.positionAt(start), text }));
  }
}

/** Where the first character of a text stands, if all its characters stand one after the other in the source. */
function textStart(source: SourceText, node: ParsedNode, value: string): number | undefined {
  const [start, end] = node.range;
  for (const skipped of [0, 1]) {
    if (start + skipped + value.length <= end && source.text.startsWith(value, start + skipped)) return start + skipped;
  }
  return undefined;
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
