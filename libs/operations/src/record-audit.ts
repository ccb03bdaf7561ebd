import { appendAuditRecord } from '@fettle/database';
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

/** Writes the audit record of a change in the change's own transaction; the sealer gives it its position. */
export async function recordAudit(context: OperationContext, change: AuditedChange): Promise<void> {
  const { actor } = context;
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
  await appendAuditRecord(context.transaction, {
    id: record.id,
    at: record.at,
    space: record.space,
    principal: actor.name,
    action: record.action,
    objectKind: change.object.kind,
    objectName: change.object.name,
    canonical,
    leafHash: leafHash(canonical),
  });
}
