import type { SourcePosition } from '@fettle/contracts';
import type { JsonPath } from '../json.js';
import type { SourceText } from './source-text.js';
import type { SourceNode } from './source-value.js';

/** Finds the place of a path in its source. Where a path does not exist, that of the nearest value around it. */
export class DocumentPlaces {
  readonly #source: SourceText;
  readonly #root: SourceNode;

  constructor(source: SourceText, root: SourceNode) {
    this.#source = source;
    this.#root = root;
  }

  /** Where the value begins. */
  valueAt(path: JsonPath): { readonly position: SourcePosition; readonly text: string } {
    const { node } = this.#find(path);
    return { position: this.#source.positionAt(node.start), text: this.#source.shown(node.start, node.end) };
  }

  /** Where the key of a member begins; the value's place for items of a list. */
  keyAt(path: JsonPath): { readonly position: SourcePosition; readonly text: string } {
    const { node } = this.#find(path);
    const { start, end } = node.key ?? node;
    return { position: this.#source.positionAt(start), text: this.#source.shown(start, end) };
  }

  /**
   * Where a character of a text value stands: `offset` counts UTF-16 code units of the value. Exact for texts written on one
   * line without escapes; otherwise (and that is said by `isExact`) where the text begins.
   */
  insideText(path: JsonPath, offset: number): { readonly position: SourcePosition; readonly isExact: boolean } {
    const { node, isExact } = this.#find(path);
    const start = node.textStart;
    if (!isExact || start === undefined) return { position: this.#source.positionAt(node.start), isExact: false };
    return { position: this.#source.positionAt(start + offset), isExact: true };
  }

  #find(path: JsonPath): { readonly node: SourceNode; readonly isExact: boolean } {
    let node = this.#root;
    for (const part of path) {
      const child = node.children.get(part);
      if (child === undefined) return { node, isExact: false };
      node = child;
    }
    return { node, isExact: true };
  }
}
