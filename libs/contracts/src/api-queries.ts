import { z } from 'zod';
import { approvalStates } from './api-approval.js';
import {
  type cancelRunRequestSchema,
  type followQuerySchema,
  type listRunsQuerySchema,
  type logsQuerySchema,
  type signalRunRequestSchema,
  type createdTokenSchema,
  documentDetailSchema,
  documentSummarySchema,
  pageOf,
  pageQuerySchema,
  principalSchema,
} from './api.js';
import { documentKinds, type DocumentKind } from './documents.js';
import { assetNameSchema, DEFAULT_SPACE, idSchema, nameSchema } from './ids.js';
import { roles } from './states.js';

/** Queries, path parameters and small answers of the control API beside the shapes in `api.ts`. */
const space = nameSchema.default(DEFAULT_SPACE);

export const spaceQuerySchema = z.object({ space });
export type SpaceQuery = z.infer<typeof spaceQuerySchema>;
export const idParamSchema = z.object({ id: idSchema });
export const nameParamSchema = z.object({ name: nameSchema });

export const whoamiSchema = z.object({
  id: idSchema,
  name: nameSchema,
  kind: z.enum(['person', 'service']),
  bindings: z.array(z.object({ role: z.enum(roles), space: nameSchema, selector: z.string().nullable() })),
  /** What the bindings allow in the space asked for, e.g. `run:start`. */
  permissions: z.array(z.string()),
});
export type Whoami = z.infer<typeof whoamiSchema>;

export const principalPageSchema = pageOf(principalSchema);
export type CreatedToken = z.infer<typeof createdTokenSchema>;
export const listTokensQuerySchema = pageQuerySchema.extend({ principal: nameSchema.optional() });
export type ListTokensQuery = z.infer<typeof listTokensQuerySchema>;

const documentKindNames = Object.keys(documentKinds) as [DocumentKind, ...DocumentKind[]];
export const documentKindSchema = z.enum(documentKindNames);
export const documentParamSchema = z.object({ kind: documentKindSchema, name: nameSchema });
export const listDocumentsQuerySchema = pageQuerySchema.extend({ kind: documentKindSchema.optional() });
export type ListDocumentsQuery = z.infer<typeof listDocumentsQuerySchema>;
export const exportDocumentsQuerySchema = z.object({
  space,
  kind: documentKindSchema.optional(),
  name: nameSchema.optional(),
});
export type ExportDocumentsQuery = z.infer<typeof exportDocumentsQuerySchema>;
export const versionSchema = z.string().regex(/^(sha256:[0-9a-f]{64}|[1-9][0-9]{0,8})$/, {
  message: 'must be the number of a version or its digest "sha256:..."',
});
export const documentQuerySchema = z.object({ space, version: versionSchema.optional() });
export type DocumentQuery = z.infer<typeof documentQuerySchema>;
export const documentPageSchema = pageOf(documentSummarySchema);
export type DocumentSummary = z.infer<typeof documentSummarySchema>;
export const documentVersionsSchema = pageOf(documentDetailSchema.omit({ source: true, parsed: true }));

export const listAuditQuerySchema = pageQuerySchema.extend({
  /** What the action begins with: `run.start`, or `run.` for all that was done to runs. */
  action: z.string().min(1).max(100).optional(),
  objectKind: z.string().min(1).max(100).optional(),
  objectName: z.string().min(1).max(512).optional(),
  principal: z.string().min(1).max(512).optional(),
  /** Inclusive. */
  from: z.iso.datetime().optional(),
  /** Exclusive. */
  to: z.iso.datetime().optional(),
});
export type ListAuditQuery = z.infer<typeof listAuditQuerySchema>;
export const auditCheckpointSchema = z.object({ size: z.int(), note: z.string(), at: z.iso.datetime() });
export type AuditCheckpoint = z.infer<typeof auditCheckpointSchema>;
export const auditKeySchema = z.object({
  /** First line of each checkpoint. */
  origin: z.string(),
  publicKeyPem: z.string(),
  /** `name+hash+base64`: the form that other tools for signed notes take. */
  verifierKey: z.string(),
});
export type AuditKey = z.infer<typeof auditKeySchema>;

/** Lines of `GET /audit/export` (NDJSON): sealed records by position, then unsealed ones, checkpoints, and one `end`. */
export const auditExportLineSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('record'),
    position: z.int().nullable(),
    id: idSchema,
    canonical: z.base64(),
    leafHash: z.hex().length(64),
    /** Columns kept beside the bytes, for `verify` to compare. */
    shown: z.record(z.string(), z.unknown()),
  }),
  z.object({ type: z.literal('checkpoint'), note: z.string() }),
  z.object({ type: z.literal('end'), sealed: z.int(), unsealed: z.int() }),
]);
export type AuditExportLine = z.infer<typeof auditExportLineSchema>;

// ---- runs ----
export const runTargetsQuerySchema = pageQuerySchema
  .pick({ limit: true, after: true })
  .extend({ asset: assetNameSchema.optional() });
export type RunTargetsQuery = z.infer<typeof runTargetsQuerySchema>;
export type ListRunsQuery = z.infer<typeof listRunsQuerySchema>;
export type LogsQuery = z.infer<typeof logsQuerySchema>;
export type FollowQuery = z.infer<typeof followQuerySchema>;
export type CancelRunRequest = z.infer<typeof cancelRunRequestSchema>;

export const listApprovalsQuerySchema = pageQuerySchema.extend({
  state: z.enum(approvalStates).optional(),
  runId: idSchema.optional(),
  /** Only open ones that the caller may decide. */
  mine: z.stringbool().default(false),
});
export type ListApprovalsQuery = z.infer<typeof listApprovalsQuerySchema>;
export type SignalRunRequest = z.infer<typeof signalRunRequestSchema>;
export const signalParamSchema = z.object({ id: idSchema, name: nameSchema });
