import { z } from 'zod';
import { pageOf, pageQuerySchema } from './api.js';
import { selectorSchema } from './documents.js';
import { nameSchema } from './ids.js';
import { decidingBaselineSchema } from './patch-baseline.js';
import { patchCompliances, patchStates } from './patch-compliance.js';
import { packagePatternSchema } from './patch.js';

/** Patterns of names between commas, as a query carries them. */
const patternsSchema = z
  .string()
  .max(8_192)
  .default('')
  .transform((text) => text.split(',').filter((pattern) => pattern !== ''))
  .pipe(z.array(packagePatternSchema).max(500));

export const patchReportQuerySchema = pageQuerySchema.extend({
  on: selectorSchema.optional(),
  /** `baseline`: each asset by its own, which the other rules narrow; `security` and `all`: by the rules given here alone. */
  updates: z.enum(['baseline', 'security', 'all']).default('baseline'),
  /** All of them by this one instead of their own. */
  baseline: nameSchema.optional(),
  approved: patternsSchema,
  rejected: patternsSchema,
  delayDays: z.coerce.number().min(0).max(365).default(0),
  /** A scan that is older says nothing any more; absent: as the baseline says, or 7. */
  maxAgeDays: z.coerce.number().min(0).max(365).optional(),
});
export type PatchReportQuery = z.output<typeof patchReportQuerySchema>;

/** So many packages are told of each asset. */
export const MAX_REPORTED_PATCHES = 200;

export const assetPatchesSchema = z.object({
  asset: z.string(),
  labels: z.record(z.string(), z.string()),
  compliance: z.enum(patchCompliances),
  /** What decided what it is to have; null: the rules that were given, or security updates where no baseline selects it. */
  baseline: decidingBaselineSchema.nullable(),
  scannedAt: z.iso.datetime().nullable(),
  manager: z.string().nullable(),
  counts: z.record(z.enum(patchStates), z.int()),
  /** Days for which the oldest update that is missing has been on offer; null: none is missing. */
  exposedDays: z.int().nullable(),
  reboot: z.enum(['needed', 'not-needed', 'unknown']).nullable(),
  /** At most 200 of them, the longest exposed first. */
  open: z.array(
    z.object({
      name: z.string(),
      state: z.enum(patchStates),
      installed: z.string().nullable(),
      wanted: z.string().nullable(),
      isSecurity: z.boolean(),
      /** As the archive says it: Debian's say none. */
      severity: z.string().nullable(),
      isHeld: z.boolean(),
      /** What the wanted version does not go without, and was left alone for when it was last looked at; null: nothing that is known. */
      needsOther: z.string().nullable(),
      exposedDays: z.int().nullable(),
    }),
  ),
});
export type AssetPatches = z.output<typeof assetPatchesSchema>;
export const patchReportPageSchema = pageOf(assetPatchesSchema);
