import { z } from 'zod';
import { durationMs, durationSchema } from './duration.js';
import { packagePatternSchema } from './patch.js';
import type { PatchRules } from './patch-selection.js';

/** Most patterns of one list. */
export const MAX_PATCH_PATTERNS = 500;

/** Classes of Red Hat's advisories, which others use as well. */
export const patchSeverities = ['critical', 'important', 'moderate', 'low'] as const;

const DAY_MS = 86_400_000;
const patterns = z.array(packagePatternSchema).max(MAX_PATCH_PATTERNS);

/** Which updates assets are to have, and how long a scan of them says something. */
export const patchBaselineSpecSchema = z
  .strictObject({
    description: z.string().max(10_000).optional(),
    /** CEL over `asset`: it holds for these. Absent: only where a step or a report names it. */
    assets: z.string().min(1).max(4096).optional(),
    /** Of several that select an asset, the highest holds. Those of a space that select differ in it. */
    priority: z.int().min(-1000).max(1000).optional(),
    updates: z.enum(['security', 'all']).default('security'),
    /** Of updates whose severity the archive says, only these; those of unknown severity are wanted all the same. */
    severities: z.array(z.enum(patchSeverities)).min(1).max(patchSeverities.length).optional(),
    /** Names of packages; without, every one is approved. */
    approved: patterns.default([]),
    /** Wins over `approved`. */
    rejected: patterns.default([]),
    /** How long a version has to have been on offer before it is wanted. */
    delay: durationSchema.optional(),
    /** A scan that is older says nothing any more. */
    scanMaxAge: durationSchema.default('7d'),
  })
  .refine(({ assets, priority }) => assets === undefined || priority !== undefined, {
    message: 'a baseline that selects assets says which of several holds: give it a priority',
    path: ['assets'],
  })
  .refine(({ assets, priority }) => assets !== undefined || priority === undefined, {
    message: 'a priority goes with assets',
    path: ['priority'],
  });
export type PatchBaselineSpec = z.infer<typeof patchBaselineSpecSchema>;

/** Which baseline decided, in which version. */
export const decidingBaselineSchema = z.object({
  name: z.string(),
  /** Digest of the version. */
  version: z.string(),
  number: z.int(),
});
export type DecidingBaseline = z.infer<typeof decidingBaselineSchema>;

/** What holds for an asset that no baseline selects: security updates, and a scan says something for a week. */
export const unselectedBaseline = { updates: 'security', scanMaxAgeMs: 7 * DAY_MS } as const;

export function baselineRules({ updates, severities, approved, rejected, delay }: PatchBaselineSpec): PatchRules {
  const delayMs = delay === undefined ? 0 : durationMs(delay);
  return { updates, versions: [], approved, rejected, delayMs, ...(severities === undefined ? {} : { severities }) };
}

/** Rules of a baseline, with those that a step has beside it: nothing is wanted that one of them does not want. */
export function narrowedRules(
  rules: PatchRules,
  step: Pick<PatchRules, 'approved' | 'rejected' | 'delayMs'>,
): PatchRules {
  return {
    ...rules,
    alsoApproved: step.approved,
    rejected: [...rules.rejected, ...step.rejected],
    delayMs: Math.max(rules.delayMs, step.delayMs),
  };
}

/** For people. */
export function baselineText(baseline: DecidingBaseline | null): string {
  return baseline === null ? 'no baseline: security updates' : `baseline ${baseline.name} (version ${baseline.number})`;
}
