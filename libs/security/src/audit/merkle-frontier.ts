import { FettleError } from '@fettle/contracts';
import { emptyRoot, hashBytes, nodeHash } from './merkle-hash.js';

/** A complete subtree: `level` 0 is a leaf; it covers leaves `index * 2^level` up to `(index + 1) * 2^level - 1`. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Buffer;
}

/**
 * The right edge of an append-only Merkle tree (RFC 6962): the hashes of its complete subtrees, largest first, one for each bit
 * set in `size`. It is all that is needed to append and to compute the root, so the sealer goes on after a restart from at most
 * 53 hashes and reads no record again.
 */
export class MerkleFrontier {
  #size: number;
  readonly #hashes: Buffer[];

  private constructor(size: number, hashes: Buffer[]) {
    this.#size = size;
    this.#hashes = hashes;
  }

  static empty(): MerkleFrontier {
    return new MerkleFrontier(0, []);
  }

  /** Takes up where `hashes` left off. Throws `invalid-frontier` where their number does not fit `size`. */
  static restore(size: number, hashes: readonly Uint8Array[]): MerkleFrontier {
    const fits = Number.isSafeInteger(size) && size >= 0 && hashes.length === bitCount(size);
    if (!fits || hashes.some((item) => item.byteLength !== hashBytes)) {
      throw new FettleError({
        code: 'invalid-frontier',
        message: `the stored right edge of the audit tree does not fit its size ${size}`,
        remedy:
          'Rebuild it from the leaf hashes of all sealed records; `fettle audit verify` tells whether they are intact.',
      });
    }
    return new MerkleFrontier(
      size,
      hashes.map((item) => Buffer.from(item)),
    );
  }

  /** Number of leaves; also the position of the next one. */
  get size(): number {
    return this.#size;
  }

  /** Copies, largest subtree first; store them with `size` and give them to `restore`. */
  get hashes(): Buffer[] {
    return this.#hashes.map((item) => Buffer.from(item));
  }

  clone(): MerkleFrontier {
    return new MerkleFrontier(this.#size, [...this.#hashes]);
  }

  /** Appends one leaf. Returns the subtrees it completes, the leaf first: store them to make proofs in logarithmic time. */
  append(leaf: Uint8Array): TreeNode[] {
    if (leaf.byteLength !== hashBytes)
      throw new RangeError(`a leaf hash has ${hashBytes} bytes, not ${leaf.byteLength}`);
    let node: TreeNode = { level: 0, index: this.#size, hash: Buffer.from(leaf) };
    const completed = [node];
    // At most 53 rounds: each takes one trailing one bit of the size.
    while (node.index % 2 === 1) {
      const left = this.#hashes.pop();
      if (!left) throw new RangeError('the right edge is shorter than its size');
      node = { level: node.level + 1, index: (node.index - 1) / 2, hash: nodeHash(left, node.hash) };
      completed.push(node);
    }
    this.#hashes.push(node.hash);
    this.#size += 1;
    return completed;
  }

  /** Merkle tree hash over all leaves appended. */
  root(): Buffer {
    return this.#hashes.length === 0 ? emptyRoot() : this.#hashes.reduceRight((right, left) => nodeHash(left, right));
  }
}

function bitCount(size: number): number {
  return size.toString(2).replaceAll('0', '').length;
}
