import type { SourcePosition } from '@fettle/contracts';
import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  Parser,
  visit,
  type Alias,
  type CST,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import { shorten, type FindingList } from '../import-row.js';
import { ENCRYPTED_VALUE, type AnsibleValue, type Variable } from './value.js';

const MAX_DEPTH = 64;
/** Nodes reached through aliases, each time they are reached: real inventories share a few settings, bombs multiply. */
const MAX_ALIASED_NODES = 100_000;

export interface YamlEntry {
  readonly key: string;
  readonly node: Node | null;
  readonly position: SourcePosition;
}

class YamlProblem extends Error {
  readonly code: string;
  readonly node: Node | null;

  constructor(code: string, message: string, node: Node | null) {
    super(message);
    this.code = code;
    this.node = node;
  }
}

/**
 * A YAML text (1.1, as Ansible reads it) whose nodes know their places. Aliases and merge keys are followed within a limit; duplicate
 * keys, deep nesting and alias bombs are refused.
 */
export class YamlSource {
  readonly root: Node | null;
  readonly #file: string;
  readonly #findings: FindingList;
  readonly #lines = new LineCounter();
  readonly #targets = new Map<Alias, Node>();
  #aliasedNodes = 0;

  private constructor(text: string, file: string, findings: FindingList) {
    this.#file = file;
    this.#findings = findings;
    this.root = this.#parse(text);
  }

  /** Null (and findings) where the text is no YAML; `root` is null where it is empty. */
  static read(text: string, file: string, findings: FindingList): YamlSource | null {
    const before = findings.errorCount;
    const source = new YamlSource(text, file, findings);
    return findings.errorCount > before ? null : source;
  }

  /**
   * The parser is iterative but the composer is recursive, and V8 may abort the whole process (not throw) where a regular expression is
   * compiled on a nearly exhausted stack. So depth is measured between the two.
   */
  #parse(text: string): Node | null {
    const tokens = [...new Parser(this.#lines.addNewLine).parse(text)];
    const tooDeep = tokens.map((token) => deeperThan(token, MAX_DEPTH)).find((offset) => offset !== null);
    if (tooDeep !== undefined && tooDeep !== null) {
      this.#findings.error('too-deep', `the file is nested deeper than ${MAX_DEPTH} levels here`, this.#place(tooDeep));
      return null;
    }
    const options = { version: '1.1', merge: true, uniqueKeys: false, logLevel: 'silent' } as const;
    const documents = [...new Composer(options).compose(tokens, true, text.length)];
    const [document, second] = documents;
    if (!document) return null;
    if (second) {
      this.#findings.error(
        'invalid-yaml',
        'a second document starts here; only one is read',
        this.#place(second.range[0]),
      );
      return null;
    }
    for (const error of document.errors.slice(0, 20)) {
      this.#findings.error('invalid-yaml', shorten(error.message, 200), this.#place(error.pos[0]));
    }
    if (document.errors.length > 0) return null;
    return this.#checkNodes(document) ? document.contents : null;
  }

  /**
   * Each alias means the last anchor of its name before it. Duplicate keys are looked for here because the parser's own check takes
   * quadratic time: minutes for the hosts of a large inventory.
   */
  #checkNodes(document: Document.Parsed): boolean {
    const anchors = new Map<string, Node>();
    const before = this.#findings.errorCount;
    visit(document, {
      Node: (_key, node) => {
        if (isAlias(node)) {
          const target = anchors.get(node.source);
          if (target) this.#targets.set(node, target);
        } else if (node.anchor !== undefined) anchors.set(node.anchor, node);
        if (isMap(node)) this.#checkKeys(node);
      },
    });
    return this.#findings.errorCount === before;
  }

  #checkKeys(map: YAMLMap): void {
    const seen = new Set<string>();
    for (const pair of map.items as Pair<Node | null, Node | null>[]) {
      if (!isScalar(pair.key)) continue;
      const key = scalarText(pair.key);
      if (seen.has(key) && !isMergeKey(pair.key)) {
        this.#findings.error('duplicate-key', `the key "${shorten(key, 60)}" is there twice`, this.position(pair.key), {
          text: key,
        });
      }
      seen.add(key);
    }
  }

  #place(offset: number): SourcePosition {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  position(node: Node | null): SourcePosition {
    return this.#place(node?.range?.[0] ?? 0);
  }

  /** The node itself, or what an alias stands for. */
  follow(node: Node | null): Node | null {
    let current = node;
    for (let hops = 0; isAlias(current); hops += 1) {
      const target = this.#targets.get(current);
      if (!target || hops > MAX_DEPTH) throw new YamlProblem('invalid-yaml', 'the alias leads nowhere', node);
      current = target;
    }
    return current;
  }

  isMap(node: Node | null): boolean {
    return isMap(this.follow(node));
  }

  isNull(node: Node | null): boolean {
    const target = this.follow(node);
    return target === null || (isScalar(target) && target.value === null);
  }

  /** The text of a plain or quoted scalar; null for anything else. */
  text(node: Node | null): string | null {
    const target = this.follow(node);
    return isScalar(target) && target.value !== null ? scalarText(target) : null;
  }

  /** Entries of a mapping in the order of the file, merge keys (`<<`) resolved: what the mapping itself says wins. */
  entries(node: Node | null): YamlEntry[] {
    const target = this.follow(node);
    return isMap(target) ? [...this.#mapEntries(target, 0).values()] : [];
  }

  #mapEntries(map: YAMLMap, depth: number): Map<string, YamlEntry> {
    if (depth > MAX_DEPTH)
      throw new YamlProblem('too-deep', `merge keys are nested deeper than ${MAX_DEPTH} levels`, map);
    const own = new Map<string, YamlEntry>();
    const merged = new Map<string, YamlEntry>();
    for (const pair of map.items as Pair<Node | null, Node | null>[]) {
      const keyNode = this.follow(pair.key);
      if (!isScalar(keyNode)) {
        if (keyNode !== null) throw new YamlProblem('invalid-yaml', 'a key must be a text or a number', keyNode);
        continue;
      }
      const key = scalarText(keyNode);
      if (isMergeKey(keyNode)) {
        for (const entry of this.#mergeEntries(pair.value, depth))
          if (!merged.has(entry.key)) merged.set(entry.key, entry);
      } else own.set(key, { key, node: pair.value, position: this.position(pair.key) });
    }
    for (const [key, entry] of merged) if (!own.has(key)) own.set(key, entry);
    return own;
  }

  #mergeEntries(node: Node | null, depth: number): YamlEntry[] {
    const target = this.follow(node);
    this.#countAliased(isMap(target) ? target.items.length : 1, node);
    if (isMap(target)) return [...this.#mapEntries(target, depth + 1).values()];
    if (isSeq(target)) return target.items.flatMap((item) => this.#mergeEntries(item as Node, depth + 1));
    throw new YamlProblem('invalid-yaml', 'a merge key ("<<") needs a mapping or a list of mappings', node);
  }

  #countAliased(count: number, node: Node | null): void {
    this.#aliasedNodes += count;
    if (this.#aliasedNodes > MAX_ALIASED_NODES)
      throw new YamlProblem('alias-bomb', `aliases stand for more than ${MAX_ALIASED_NODES} values in all`, node);
  }

  /** The value of a variable. */
  variable(entry: YamlEntry): Variable {
    const state = { encrypted: false };
    const value = this.#value(entry.node, 0, isAlias(entry.node), state);
    const target = this.follow(entry.node);
    const written = isScalar(target) && typeof value === 'number' ? target.source : undefined;
    return { value, written, encrypted: state.encrypted || undefined, position: entry.position };
  }

  #value(node: Node | null, depth: number, aliased: boolean, state: { encrypted: boolean }): AnsibleValue {
    if (depth > MAX_DEPTH) throw new YamlProblem('too-deep', `a value is nested deeper than ${MAX_DEPTH} levels`, node);
    const isAliased = aliased || isAlias(node);
    if (isAliased) this.#countAliased(1, node);
    const target = this.follow(node);
    if (target?.tag === '!vault' || target?.tag === '!vault-encrypted') {
      state.encrypted = true;
      return ENCRYPTED_VALUE;
    }
    if (isSeq(target)) return target.items.map((item) => this.#value(item as Node | null, depth + 1, isAliased, state));
    if (!isMap(target)) return isScalar(target) ? scalarValue(target) : null;
    const entries = [...this.#mapEntries(target, 0).values()];
    return Object.fromEntries(
      entries.map((entry) => [entry.key, this.#value(entry.node, depth + 1, isAliased, state)]),
    );
  }

  /** Runs `read` and turns a refusal into a finding. */
  guarded(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof YamlProblem)) throw error;
      this.#findings.error(error.code, shorten(error.message, 300), this.position(error.node));
    }
  }
}

function isMergeKey(key: Scalar): boolean {
  return (key.type === undefined || key.type === 'PLAIN') && (key.source === '<<' || typeof key.value === 'symbol');
}

function scalarText(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}

/** PyYAML reads neither `y` and `n` as booleans nor an exponent without point and sign as a number; the parser here does. */
const NO_PYYAML_FLOAT = /^[-+]?[0-9_]+(\.[0-9_]*)?[eE]/;
const PYYAML_FLOAT = /^[-+]?(?:[0-9][0-9_]*)?\.[0-9_]*(?:[eE][-+][0-9]+)?$/;

function scalarValue(scalar: Scalar): AnsibleValue {
  const { value } = scalar;
  const source = scalar.source ?? '';
  if (typeof value === 'boolean') return /^[yYnN]$/.test(source) ? source : value;
  if (typeof value === 'number') return NO_PYYAML_FLOAT.test(source) && !PYYAML_FLOAT.test(source) ? source : value;
  if (typeof value === 'string' || value === null || value === undefined) return value ?? null;
  // Dates, binary data, big integers: the text as it was written.
  return source;
}

/** Offset of the first collection nested deeper than `maxDepth`, or null. */
function deeperThan(token: CST.Token, maxDepth: number): number | null {
  const open: { token: CST.Token; depth: number }[] = [{ token, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token: current, depth } = next;
    if (depth > maxDepth) return current.offset;
    if (current.type === 'document' && current.value) open.push({ token: current.value, depth });
    if (!('items' in current)) continue;
    for (const item of current.items) {
      if (item.key) open.push({ token: item.key, depth: depth + 1 });
      if (item.value) open.push({ token: item.value, depth: depth + 1 });
    }
  }
  return null;
}
