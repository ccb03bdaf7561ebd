import { appendAuditRecords, type StoredAuditRecord, type StoredBinding, type Transaction } from '@fettle/database';
import { ALL_SPACES, auditRecordBytes, leafHash, type AuditRecord } from '@fettle/security';
import { uuidv7 } from 'uuidv7';
import type { OperationContext } from './context.js';

export interface AuditedChange {
  /** `<object>.<verb>`, e.g. `run.start`. */
  readonly action: string;
  readonly space: string | null;
  readonly object: { readonly kind: string; readonly name: string; readonly id?: string };
  /** Never a secret. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * The audit records of a change to a principal's rights: one in each space where it has a role, so that whoever reads the log of
 * that space sees it. None tells of bindings in other spaces; `requestId` joins them.
 */
export async function recordRightsAudit(
  context: OperationContext,
  bindings: readonly StoredBinding[],
  change: Omit<AuditedChange, 'space' | 'detail'> & {
    readonly detail: (bindings: readonly StoredBinding[]) => AuditedChange['detail'];
  },
): Promise<void> {
  // A principal without any role is recorded for all spaces.
  const spaces = bindings.length === 0 ? [null] : new Set(bindings.map(({ space }) => space));
  for (const space of spaces) {
    const own = bindings.filter((binding) => binding.space === space);
    await recordAudit(context, { ...change, space, detail: change.detail(own) });
  }
}

/** Writes the audit record of a change in the change's own transaction; the sealer gives it its position. Returns its id. */
export async function recordAudit(context: OperationContext, change: AuditedChange): Promise<string> {
  const record = auditRecordOf(context, change);
  await appendAuditRecords(context.transaction, [record]);
  return record.id;
}

/** The records of several changes of one transaction, in one statement. */
export async function recordAudits(
  transaction: Transaction,
  changes: readonly { readonly context: OperationContext; readonly change: AuditedChange }[],
): Promise<void> {
  const records = changes.map(({ context, change }) => auditRecordOf(context, change));
  await appendAuditRecords(transaction, records);
}

function auditRecordOf({ actor }: OperationContext, change: AuditedChange): StoredAuditRecord {
  const record: AuditRecord = {
    id: uuidv7(),
    at: new Date().toISOString(),
    space: change.space ?? ALL_SPACES,
    principal: actor.principalId === null ? null : { id: actor.principalId, name: actor.name, kind: actor.kind },
    action: change.action,
    object: change.object,
    outcome: 'succeeded',
    requestId: actor.requestId,
    // Checked by auditRecordBytes: what JSON cannot carry is refused.
    detail: change.detail as AuditRecord['detail'],
  };
  const canonical = auditRecordBytes(record);
  return {
    id: record.id,
    at: record.at,
    space: record.space,
    principal: actor.name,
    action: record.action,
    objectKind: change.object.kind,
    objectName: change.object.name,
    canonical,
    leafHash: leafHash(canonical),
  };
}
