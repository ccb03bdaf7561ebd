import {
  insertCheckpoint,
  placeLeaves,
  readAuditTree,
  readUnsealedLeaves,
  saveAuditTree,
  type Transaction,
} from '@fettle/database';
import { MerkleFrontier } from '@fettle/security';

/** Name of the log: first line of each checkpoint, and name of the key that signs them. */
export const AUDIT_ORIGIN = 'fettle/audit';

export interface SealRequest {
  /** Records in one batch at most. */
  readonly limit: number;
  /** Signs size and root as a checkpoint: `(tree) => signCheckpoint(signer, tree)`. */
  readonly sign: (tree: { readonly size: number; readonly root: Buffer }) => string;
}

export interface SealedBatch {
  readonly sealed: number;
  readonly size: number;
  /** The checkpoint to append to a file outside the database once the transaction is committed; null: nothing was sealed. */
  readonly note: string | null;
  /** There is probably more: call again without waiting. */
  readonly isFull: boolean;
}

/**
 * Gives unsealed records their positions, in order of their ids, and signs the tree that then is. Locks the tree, so that of
 * several sealers one works at a time. Positions are contiguous, and a batch is sealed as a whole or not at all.
 */
export async function sealBatch(transaction: Transaction, request: SealRequest): Promise<SealedBatch> {
  const tree = await readAuditTree(transaction, { lock: true });
  const leaves = await readUnsealedLeaves(transaction, request.limit);
  if (leaves.length === 0) return { sealed: 0, size: tree.size, note: null, isFull: false };
  const frontier = MerkleFrontier.restore(tree.size, tree.frontier);
  await placeLeaves(transaction, tree.size, leaves);
  for (const leaf of leaves) frontier.append(leaf.leafHash);
  await saveAuditTree(transaction, { size: frontier.size, frontier: frontier.hashes });
  const note = request.sign({ size: frontier.size, root: frontier.root() });
  await insertCheckpoint(transaction, { size: frontier.size, note });
  return { sealed: leaves.length, size: frontier.size, note, isFull: leaves.length === request.limit };
}
