import type { Transaction } from '@fettle/database';
import type { Permission } from '@fettle/security';

/** On whose behalf an operation acts; it stands in the audit record. */
export interface Actor {
  /** Null: the system itself (background work). */
  readonly principalId: string | null;
  readonly name: string;
  readonly kind: 'person' | 'service' | 'system';
  readonly requestId: string;
}

/** What every operation takes first: the caller opens and ends the transaction. */
export interface OperationContext {
  readonly transaction: Transaction;
  readonly actor: Actor;
  /**
   * Selectors that narrow which assets the actor may touch with a permission in a space: null is all, an empty list is none.
   * Routes check the permission itself; operations check the targets.
   */
  readonly scopeOf: (permission: Permission, space: string) => readonly string[] | null;
}

/** The system itself acts: background work, and what a run finds out. `requestId` names the occasion. */
export function systemContext(transaction: Transaction, requestId: string): OperationContext {
  return { transaction, actor: { principalId: null, name: 'system', kind: 'system', requestId }, scopeOf: () => null };
}
