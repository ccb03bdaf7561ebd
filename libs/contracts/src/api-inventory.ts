import { z } from 'zod';
import { pageOf, pageQuerySchema } from './api.js';
import { selectorSchema } from './documents.js';
import { assetNameSchema, DEFAULT_SPACE, idSchema, labelKeySchema, nameSchema } from './ids.js';
import { assetKinds, criticalities, lifecycleStates } from './states.js';

/** Shapes of the inventory under `/api/v1`: assets, their import and enrolment, and credentials. */
const space = nameSchema.default(DEFAULT_SPACE);
const time = z.iso.datetime();

/** One line without control characters and without halves of surrogate pairs, which no database stores as they are. */
const plainText = (maxChars: number) =>
  z
    .string()
    .max(maxChars)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, { message: 'must be one line without control characters' });
const columnSchema = plainText(200).min(1);
/** A host name, IPv4 or IPv6 address without port; never something that a client could take for an option. */
export const addressSchema = z
  .string()
  .max(253)
  .regex(/^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%[A-Za-z0-9._-]{1,32})?)$/, {
    message: 'must be a host name or an IP address, without port or user',
  });
export const usernameSchema = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._@+\\-]{0,62}\$?$/, {
  message: 'must be a user name as ssh takes it, at most 64 characters',
});
const portSchema = z.int().min(1).max(65535);
/** A pinned key as OpenSSH writes it, without a comment: `ssh-ed25519 AAAA...` (RFC 4253 section 6.6 in base64). */
export const hostKeySchema = z
  .string()
  .regex(/^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{40,3000}={0,2}$/, {
    message:
      'must be a host key "TYPE BASE64" without a comment, of type ssh-ed25519, ssh-rsa or ecdsa-sha2-nistp256/384/521',
  });
const MAX_HOST_KEYS = 10;
const MAX_LABELS = 250;
const fewLabels = { message: `at most ${MAX_LABELS} labels` };
const labelValueSchema = plainText(256);

// ---- assets ----
export const endpointSchema = z.strictObject({
  transport: z.literal('ssh').default('ssh'),
  address: z.string().min(1).max(253),
  port: z.int().min(1).max(65535).default(22),
  username: z.string().min(1).max(64).nullable().default(null),
  credential: nameSchema.nullable().default(null),
  /** `type base64` lines as in an OpenSSH public key, without a comment. */
  hostKeys: z.array(z.string().min(1).max(2048)).max(10).default([]),
  /** Name of the asset of the same space that it is reached through. */
  jump: assetNameSchema.nullable().default(null),
});
export type Endpoint = z.infer<typeof endpointSchema>;
/** What is absent stays as it is; written out, because a default would count as given. */
export const endpointPatchSchema = z.strictObject({
  address: addressSchema.optional(),
  port: portSchema.optional(),
  username: usernameSchema.nullable().optional(),
  credential: nameSchema.nullable().optional(),
  hostKeys: z.array(hostKeySchema).max(MAX_HOST_KEYS).optional(),
  jump: assetNameSchema.nullable().optional(),
});

export const assetSchema = z.object({
  id: idSchema,
  space: nameSchema,
  name: assetNameSchema,
  kind: z.enum(assetKinds),
  site: z.string().nullable(),
  owner: z.string().nullable(),
  criticality: z.enum(criticalities).nullable(),
  lifecycle: z.enum(lifecycleStates),
  labels: z.record(z.string(), z.string()),
  quarantine: z.object({ since: time, reason: z.string() }).nullable(),
  endpoint: endpointSchema.nullable(),
  createdAt: time,
  updatedAt: time,
});
export type Asset = z.infer<typeof assetSchema>;
export const assetDetailSchema = assetSchema.extend({
  facts: z.record(z.string(), z.object({ value: z.unknown(), source: z.string(), observedAt: time })),
  identifiers: z.array(z.object({ kind: z.string(), value: z.string(), source: z.string() })),
  relations: z.array(z.object({ kind: z.string(), direction: z.enum(['to', 'from']), asset: assetNameSchema })),
  sources: z.record(z.string(), z.string()),
  /** Lists of which more is stored than is shown here; absent: all is shown. */
  truncated: z.array(z.enum(['facts', 'identifiers', 'relations'])).optional(),
});
export type AssetDetail = z.infer<typeof assetDetailSchema>;

export const listAssetsQuerySchema = pageQuerySchema.extend({
  on: selectorSchema.optional(),
  retired: z.stringbool().default(false),
  /** Counts the assets for which `on` is neither true nor false. It looks at every asset, so only the first page should ask. */
  undetermined: z.stringbool().default(false),
});
export type ListAssetsQuery = z.infer<typeof listAssetsQuerySchema>;
export const assetPageSchema = pageOf(assetSchema).extend({ undetermined: z.int().optional() });
export type AssetPage = z.infer<typeof assetPageSchema>;
/** Kinds of relations are the estate's own words, such as `runs-on` or `depends-on`; Fettle draws no conclusion from them. */
export const relationSchema = z.strictObject({ kind: nameSchema, asset: assetNameSchema });
export type Relation = z.infer<typeof relationSchema>;
const relationsSchema = z.array(relationSchema).max(100);

/** Creates the asset or changes what is given; null clears a column or removes a label. */
export const setAssetRequestSchema = z.strictObject({
  kind: z.enum(assetKinds).optional(),
  site: columnSchema.nullable().optional(),
  owner: columnSchema.nullable().optional(),
  criticality: z.enum(criticalities).nullable().optional(),
  lifecycle: z.enum(lifecycleStates).optional(),
  labels: z
    .record(labelKeySchema, labelValueSchema.nullable())
    .refine((labels) => Object.keys(labels).length <= MAX_LABELS, fewLabels)
    .optional(),
  endpoint: endpointPatchSchema.optional(),
  /** Relations from this asset to others of its space; what stands already stays as it is. */
  relate: relationsSchema.optional(),
  /** Relations from this asset to take away; those that do not stand are passed over. */
  unrelate: relationsSchema.optional(),
  /** `false` lifts a quarantine; needs a reason. */
  quarantined: z.literal(false).optional(),
  reason: plainText(500).min(1).optional(),
});
export type SetAssetRequest = z.infer<typeof setAssetRequestSchema>;

export const importRowSchema = z.object({
  /** Where the person's file describes the asset; findings point there. */
  file: z.string().max(1000).optional(),
  line: z.int(),
  name: assetNameSchema,
  kind: z.enum(assetKinds).optional(),
  site: columnSchema.optional(),
  owner: columnSchema.optional(),
  criticality: z.enum(criticalities).optional(),
  lifecycle: z.enum(lifecycleStates).optional(),
  address: addressSchema.optional(),
  port: portSchema.optional(),
  user: usernameSchema.optional(),
  credential: nameSchema.optional(),
  hostKey: hostKeySchema.optional(),
  jump: assetNameSchema.optional(),
  labels: z
    .record(labelKeySchema, labelValueSchema)
    .refine((labels) => Object.keys(labels).length <= MAX_LABELS, fewLabels)
    .default({}),
});
/** One parsed row of an import file; absent means not given, which changes nothing. */
export type ImportAssetRow = z.infer<typeof importRowSchema>;
export const importResultSchema = z.object({
  dryRun: z.boolean(),
  created: z.int(),
  changed: z.int(),
  unchanged: z.int(),
  warnings: z.array(z.record(z.string(), z.unknown())),
});
export type ImportResult = z.infer<typeof importResultSchema>;

export const retireAssetRequestSchema = z.strictObject({ reason: plainText(500).min(1).optional() });
export const assetParamSchema = z.object({ name: assetNameSchema });
export const credentialParamSchema = z.object({ name: nameSchema });
export const spaceOnlyQuerySchema = z.object({ space });
export const importQuerySchema = z.object({
  space,
  format: z.enum(['csv', 'ansible']).default('csv'),
  dryRun: z.stringbool().default(false),
});
export type ImportQuery = z.infer<typeof importQuerySchema>;
export const rotateResultSchema = z.object({ rotated: z.int(), more: z.boolean(), keyId: z.string() });

/**
 * Compares the host keys that the asset shows now with what is expected, pins them, and lifts a quarantine.
 * With neither member: keys are pinned as they come where none is pinned yet; where some are, they must be among those shown.
 */
export const enrolRequestSchema = z.strictObject({
  /** Fingerprint of one of the host's keys, as OpenSSH prints it; that key alone is pinned then. */
  expect: z
    .string()
    .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, {
      message: 'must be "SHA256:" and 43 characters, as ssh-keygen -lf prints it',
    })
    .optional(),
  /** Pins whatever the host shows now in place of what was pinned; needs a reason. */
  replace: z.boolean().default(false),
  reason: plainText(500).min(1).optional(),
});
export type EnrolRequest = z.infer<typeof enrolRequestSchema>;
const fingerprintsSchema = z.array(z.object({ type: z.string(), fingerprint: z.string() }));
export const enrolResultSchema = z.object({
  asset: assetNameSchema,
  /** Where the keys were seen, as `user@host:port`; without a user where the asset names none. */
  host: z.string(),
  /** The keys pinned now. */
  hostKeys: fingerprintsSchema,
  /** The keys pinned before. */
  previousHostKeys: fingerprintsSchema,
  /** False: the host showed what was pinned before. */
  changed: z.boolean(),
  quarantineLifted: z.boolean(),
});
export type EnrolResult = z.infer<typeof enrolResultSchema>;

/** Ansible's dynamic inventory, for the assets that the caller may see. */
export const ansibleInventoryQuerySchema = z.object({ space, on: selectorSchema.optional() });
export type AnsibleInventoryQuery = z.infer<typeof ansibleInventoryQuerySchema>;

// ---- credentials ----
export const setCredentialRequestSchema = z.strictObject({
  kind: z.enum(['ssh-private-key', 'password', 'token']),
  username: usernameSchema.nullable().default(null),
  /** The secret in clear; sealed before it is stored and never returned. */
  value: z.string().min(1).max(65_536),
});
export type SetCredentialRequest = z.infer<typeof setCredentialRequestSchema>;
export const credentialSchema = z.object({
  name: nameSchema,
  space: nameSchema,
  kind: z.enum(['ssh-private-key', 'password', 'token']),
  username: z.string().nullable(),
  keyId: z.string(),
  version: z.int(),
  createdAt: time,
  updatedAt: time,
});
export type Credential = z.infer<typeof credentialSchema>;
