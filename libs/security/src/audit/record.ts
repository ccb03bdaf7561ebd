import { FettleError, idSchema } from '@fettle/contracts';
import { z } from 'zod';
import { canonicalBytes, type JsonValue } from './canonical.js';

/** Version of the record format: the member `v` of the canonical bytes. */
export const AUDIT_RECORD_FORMAT = 1;
/** A record says what happened; whatever is larger belongs elsewhere, with its digest in `detail`. */
export const maxAuditRecordBytes = 64 * 1024;

const textSchema = z.string().min(1).max(512);

/** JSON whose integers are safe: other languages read larger ones as something else. */
const detailSchema: z.ZodType<JsonValue> = z.lazy(() =>
  z.union([
    z.null(),
    z.boolean(),
    z.string(),
    z.number().refine((value) => !Number.isInteger(value) || Number.isSafeInteger(value), {
      message: 'must be a safe integer',
    }),
    z.array(detailSchema),
    z.record(z.string(), detailSchema.optional()),
  ]),
);

export const auditRecordSchema = z.strictObject({
  /** UUIDv7. */
  id: idSchema,
  /** When it happened, RFC 3339 in UTC with milliseconds: `2026-11-22T02:30:00.000Z`. */
  at: z.iso.datetime({ precision: 3 }),
  space: textSchema,
  /** Who did it; null for Fettle itself. `kind` is the kind of principal, e.g. `person`. */
  principal: z.strictObject({ id: textSchema, name: textSchema, kind: textSchema }).nullable(),
  /** Dotted object and verb, e.g. `run.start`. */
  action: textSchema,
  object: z.strictObject({ kind: textSchema, name: textSchema, id: textSchema.optional() }),
  outcome: z.enum(['succeeded', 'failed', 'denied']),
  /** The request that caused it; null where there was none. */
  requestId: textSchema.nullable(),
  /** What else an auditor needs; never a secret. */
  detail: z.record(z.string(), detailSchema.optional()),
});

const storedRecordSchema = auditRecordSchema.extend({ v: z.literal(AUDIT_RECORD_FORMAT) });

/** One thing that somebody did or tried, as the audit log keeps it. */
export type AuditRecord = z.infer<typeof auditRecordSchema>;

/**
 * The bytes that are stored, hashed and verified: canonical JSON of the record and its format version `v`. Throws
 * `invalid-request` where the record does not fit `auditRecordSchema`, `limit-exceeded` above `maxAuditRecordBytes`.
 */
export function auditRecordBytes(record: AuditRecord): Buffer {
  // First, because it bounds the depth and the size of what the schema then walks through.
  const bytes = canonicalBytes({ v: AUDIT_RECORD_FORMAT, ...record });
  if (bytes.length > maxAuditRecordBytes) {
    throw new FettleError({
      code: 'limit-exceeded',
      message: `an audit record has ${bytes.length} bytes, more than ${maxAuditRecordBytes}`,
      remedy: 'Make the request smaller, or change fewer things at once.',
      detail: { sizeBytes: bytes.length, maxBytes: maxAuditRecordBytes },
    });
  }
  const parsed = auditRecordSchema.safeParse(record);
  if (!parsed.success) {
    const problem = parsed.error.issues[0];
    const where = problem?.path.join('.') ?? '';
    throw new FettleError({
      code: 'invalid-request',
      message: `audit record, ${where === '' ? 'as a whole' : where}: ${problem?.message ?? 'malformed'}`,
    });
  }
  return bytes;
}

/** Reads stored bytes. Throws `invalid-audit-record` where they are not the canonical bytes of a record. */
export function parseAuditRecord(bytes: Uint8Array): AuditRecord {
  if (bytes.byteLength > maxAuditRecordBytes) throw invalidRecord(`it is longer than ${maxAuditRecordBytes} bytes`);
  let value: JsonValue;
  let canonical: Buffer;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as JsonValue;
    canonical = canonicalBytes(value);
  } catch (cause) {
    throw invalidRecord('it is not JSON in UTF-8, or too deeply nested', cause);
  }
  if (!canonical.equals(bytes)) throw invalidRecord('its bytes are not canonical (RFC 8785)');
  const parsed = storedRecordSchema.safeParse(value);
  if (!parsed.success) throw invalidRecord(parsed.error.issues[0]?.message ?? 'malformed', parsed.error);
  const { v: _format, ...record } = parsed.data;
  return record;
}

function invalidRecord(why: string, cause?: unknown): FettleError {
  return new FettleError({
    code: 'invalid-audit-record',
    message: `a stored audit record cannot be read: ${why}`,
    remedy: 'Run `fettle audit verify`: it tells which records were changed.',
    cause,
  });
}
