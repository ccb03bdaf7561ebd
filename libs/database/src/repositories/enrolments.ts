import type { Transaction } from '../data-source.js';

export interface EnrolmentError {
  readonly code: string;
  readonly message: string;
  readonly remedy?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface EnrolmentRow {
  readonly id: string;
  readonly assetId: string;
  readonly space: string;
  readonly asset: string;
  readonly principalId: string | null;
  readonly principalName: string;
  readonly principalKind: 'person' | 'service' | 'system';
  readonly requestId: string;
  readonly expect: string | null;
  readonly isReplacing: boolean;
  readonly reason: string | null;
  readonly state: 'waiting' | 'succeeded' | 'failed' | 'abandoned';
  readonly result: unknown;
  readonly error: EnrolmentError | null;
}

const MAX_CLEANED = 100;

export async function insertEnrolment(
  transaction: Transaction,
  row: Omit<EnrolmentRow, 'space' | 'asset' | 'state' | 'result' | 'error'>,
): Promise<void> {
  await transaction.query(
    `INSERT INTO enrolment (id, asset_id, principal_id, principal_name, principal_kind, request_id, expect, is_replacing, reason)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      row.id,
      row.assetId,
      row.principalId,
      row.principalName,
      row.principalKind,
      row.requestId,
      row.expect,
      row.isReplacing,
      row.reason,
    ],
  );
  // The audit log tells what was pinned; the rows themselves serve those who wait.
  await transaction.query(
    `DELETE FROM enrolment WHERE id IN (
       SELECT id FROM enrolment WHERE created_at < now() - interval '7 days' ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)`,
    [MAX_CLEANED],
  );
}

export async function findEnrolment(
  transaction: Transaction,
  id: string,
  options: { readonly lock?: boolean } = {},
): Promise<EnrolmentRow | null> {
  const rows: EnrolmentRow[] = await transaction.query(
    `SELECT e.id, e.asset_id AS "assetId", a.space, a.name AS asset, e.principal_id AS "principalId",
       e.principal_name AS "principalName", e.principal_kind AS "principalKind", e.request_id AS "requestId", e.expect,
       e.is_replacing AS "isReplacing", e.reason, e.state, e.result, e.error
     FROM enrolment e JOIN asset a ON a.id = e.asset_id WHERE e.id = $1 ${options.lock ? 'FOR UPDATE OF e' : ''}`,
    [id],
  );
  return rows[0] ?? null;
}

export interface EnrolmentTarget {
  readonly address: string;
  readonly port: number;
  /** Name of the asset that it is reached through. */
  readonly jump: string | null;
  readonly name: string;
  readonly space: string;
}

/** Where to scan; null where the enrolment has ended or the asset has no address. */
export async function readEnrolmentTarget(transaction: Transaction, id: string): Promise<EnrolmentTarget | null> {
  const rows: EnrolmentTarget[] = await transaction.query(
    `SELECT p.address, p.port, p.jump, a.name, a.space FROM enrolment e JOIN asset a ON a.id = e.asset_id
     JOIN endpoint p ON p.asset_id = e.asset_id AND p.transport = 'ssh'
     WHERE e.id = $1 AND e.state = 'waiting'`,
    [id],
  );
  return rows[0] ?? null;
}

/** Ends it once: false where it had ended before. */
export async function endEnrolment(
  transaction: Transaction,
  id: string,
  end:
    | { readonly state: 'succeeded'; readonly result: object }
    | { readonly state: 'failed'; readonly error: EnrolmentError }
    | { readonly state: 'abandoned' },
): Promise<boolean> {
  const [, changed] = (await transaction.query<unknown>(
    `UPDATE enrolment SET state = $2, result = $3, error = $4, ended_at = clock_timestamp() WHERE id = $1 AND state = 'waiting'`,
    [
      id,
      end.state,
      end.state === 'succeeded' ? JSON.stringify(end.result) : null,
      end.state === 'failed' ? JSON.stringify(end.error) : null,
    ],
  )) as [unknown, number];
  return changed > 0;
}

/** Pins host keys; they belong to the person who enrolled from then on, and no import overwrites them. */
export async function pinHostKeys(
  transaction: Transaction,
  assetId: string,
  hostKeys: readonly string[],
): Promise<void> {
  await transaction.query(
    `UPDATE endpoint SET host_keys = $2, updated_at = clock_timestamp() WHERE asset_id = $1 AND transport = 'ssh'`,
    [assetId, hostKeys],
  );
  await transaction.query(
    `UPDATE asset SET sources = sources || '{"endpoint.hostKeys": "person"}', updated_at = clock_timestamp() WHERE id = $1`,
    [assetId],
  );
}

export async function liftQuarantine(transaction: Transaction, assetId: string): Promise<void> {
  await transaction.query(
    `UPDATE asset SET quarantined_at = NULL, quarantine_reason = NULL, updated_at = clock_timestamp() WHERE id = $1`,
    [assetId],
  );
}
