import type { MerkleFrontier } from './merkle-frontier.js';
import { sameHash } from './merkle-hash.js';

/** Longest range searched: 2,016 pairs with at most 128 hashes each, a fraction of a second. Most sealed batches are shorter. */
export const maxDiagnosedLeaves = 64;

export interface Exchange {
  /** Places in `leaves`. */
  readonly first: number;
  readonly second: number;
  /** The tree with both back in their places. */
  readonly mended: MerkleFrontier;
}

/**
 * Whether two leaves have changed places: looks for the exchange that gives the signed root. A hash says only that something is
 * different, so the likely explanations have to be tried; a match is a proof, as another one would be a SHA-256 collision.
 */
export function findExchange(before: MerkleFrontier, leaves: readonly Buffer[], root: Uint8Array): Exchange | null {
  if (leaves.length > maxDiagnosedLeaves) return null;
  for (let first = 0; first < leaves.length; first += 1) {
    const upToFirst = append(before, leaves.slice(0, first));
    for (let second = first + 1; second < leaves.length; second += 1) {
      const [one, two] = [leaves[first], leaves[second]];
      if (!one || !two) return null;
      const exchanged = [two, ...leaves.slice(first + 1, second), one, ...leaves.slice(second + 1)];
      const mended = append(upToFirst, exchanged);
      if (sameHash(mended.root(), root)) return { first, second, mended };
    }
  }
  return null;
}

function append(frontier: MerkleFrontier, leaves: readonly Buffer[]): MerkleFrontier {
  const longer = frontier.clone();
  for (const leaf of leaves) longer.append(leaf);
  return longer;
}
