import { FettleError } from '@fettle/contracts';
import { nodeHash, sameHash } from './merkle-hash.js';
import { MerkleFrontier } from './merkle-frontier.js';

/** Gives the hash of a complete subtree; see `TreeNode`. */
export type NodeReader = (level: number, index: number) => Buffer | Promise<Buffer>;

/** Proof that a leaf is in the tree of `size` leaves: sibling hashes, leaf level first (RFC 9162 section 2.1.3.1). */
export async function inclusionProof(index: number, size: number, readNode: NodeReader): Promise<Buffer[]> {
  if (!isSize(size) || !isSize(index) || index >= size) throw outOfRange(`no leaf ${index} in a tree of ${size}`);
  const proof: Buffer[] = [];
  let start = 0;
  let end = size;
  // At most 53 rounds: each at least halves what is left, rounded up to a power of two.
  while (end - start > 1) {
    const middle = start + splitSize(end - start);
    if (index < middle) {
      proof.push(await rangeHash(middle, end, readNode));
      end = middle;
    } else {
      proof.push(await rangeHash(start, middle, readNode));
      start = middle;
    }
  }
  return proof.reverse();
}

/** Proof that the tree of `oldSize` leaves is a prefix of the one of `size` leaves (RFC 9162 section 2.1.4.1). */
export async function consistencyProof(oldSize: number, size: number, readNode: NodeReader): Promise<Buffer[]> {
  if (!isSize(size) || !isSize(oldSize) || oldSize > size) throw outOfRange(`no tree of ${oldSize} in one of ${size}`);
  if (oldSize === 0 || oldSize === size) return [];
  const proof: Buffer[] = [];
  let start = 0;
  let end = size;
  let oldRootKnown = true;
  while (oldSize !== end) {
    const middle = start + splitSize(end - start);
    if (oldSize <= middle) {
      proof.push(await rangeHash(middle, end, readNode));
      end = middle;
    } else {
      proof.push(await rangeHash(start, middle, readNode));
      start = middle;
      oldRootKnown = false;
    }
  }
  if (!oldRootKnown) proof.push(await rangeHash(start, end, readNode));
  return proof.reverse();
}

/** A reader for trees whose nodes are not stored: computes each node from its leaf hashes, which it reads in order. */
export function nodesFromLeaves(
  readLeafHashes: (start: number, end: number) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): NodeReader {
  return async (level, index) => {
    const frontier = MerkleFrontier.empty();
    for await (const leaf of readLeafHashes(index * 2 ** level, (index + 1) * 2 ** level)) frontier.append(leaf);
    if (frontier.size !== 2 ** level) throw outOfRange(`node ${level}/${index} has only ${frontier.size} leaves`);
    return frontier.root();
  };
}

export interface InclusionClaim {
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** RFC 9162 section 2.1.3.2. */
export function verifyInclusion({ leafHash, index, size, root, proof }: InclusionClaim): boolean {
  if (!isSize(size) || !isSize(index) || index >= size) return false;
  let node = index;
  let last = size - 1;
  let current = leafHash;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      current = nodeHash(sibling, current);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      current = nodeHash(current, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(current, root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** RFC 9162 section 2.1.4.2. The empty tree is a prefix of every tree. */
export function verifyConsistency({ oldSize, oldRoot, size, root, proof }: ConsistencyClaim): boolean {
  if (!isSize(oldSize) || !isSize(size) || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && sameHash(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && sameHash(oldRoot, MerkleFrontier.empty().root());
  // Where the old tree is one complete subtree, its root is the start and the proof leaves it out.
  const path = completeLevel(oldSize) !== null ? [oldRoot, ...proof] : [...proof];
  const first = path.shift();
  if (!first) return false;
  let node = oldSize - 1;
  let last = size - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  let oldCurrent = first;
  let current = first;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldCurrent = nodeHash(sibling, oldCurrent);
      current = nodeHash(sibling, current);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      current = nodeHash(current, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(oldCurrent, oldRoot) && sameHash(current, root);
}

/** Hash over leaves `start` to `end - 1`, where `start` is a multiple of the smallest power of two not below the length. */
async function rangeHash(start: number, end: number, readNode: NodeReader): Promise<Buffer> {
  const length = end - start;
  const level = completeLevel(length);
  if (level !== null) return readNode(level, start / length);
  const middle = start + splitSize(length);
  return nodeHash(await rangeHash(start, middle, readNode), await rangeHash(middle, end, readNode));
}

/** The largest power of two below `length`, which is at least 2. */
function splitSize(length: number): number {
  let size = 1;
  while (size * 2 < length) size *= 2;
  return size;
}

/** The level of a complete subtree of `size` leaves, null where no such tree is complete. Exact, which Math.log2 is not. */
function completeLevel(size: number): number | null {
  let level = 0;
  let rest = size;
  while (rest > 1 && rest % 2 === 0) {
    rest /= 2;
    level += 1;
  }
  return rest === 1 ? level : null;
}

const half = (value: number): number => Math.floor(value / 2);
const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function outOfRange(message: string): FettleError {
  return new FettleError({ code: 'invalid-request', message });
}
