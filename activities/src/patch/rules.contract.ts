import { nameSchema, packagePatternSchema } from '@fettle/contracts';
import { z } from 'zod';

const MAX_PATTERNS = 500;

/** Digest of what `patch.tested` kept; empty: whatever is on offer. */
const testedSchema = z
  .union([
    z.literal(''),
    z.string().regex(/^sha256:[0-9a-f]{64}$/, {
      message: 'must be the digest of a tested set, "sha256:" and 64 hex digits',
    }),
  ])
  .default('');

/** By what updates are chosen, beside which of them. */
export const ruleShape = {
  /** With `updates: baseline`: which one; empty: the asset's own, or security updates where none selects it. */
  baseline: z.union([z.literal(''), nameSchema]).default(''),
  /** Patterns of names; without one, every package is approved. */
  approved: z.array(packagePatternSchema).max(MAX_PATTERNS).default([]),
  /** Patterns of names that are left alone, whatever `approved` says, and whatever needs them. */
  rejected: z.array(packagePatternSchema).max(MAX_PATTERNS).default([]),
  /** A version is left alone until a host of the space was first offered it so long ago. Not of exact versions. */
  delayDays: z.number().min(0).max(365).default(0),
  /** Only versions that hosts of the same release ran, and were well with. */
  tested: testedSchema,
};

/** Both of those that look and of those that install: else a host would be taken out of service before it is refused. */
export const baselineRefinement = [
  ({ updates, baseline }: { readonly updates: string; readonly baseline: string }): boolean =>
    updates === 'baseline' || baseline === '',
  { message: '"baseline" belongs to "updates: baseline"', path: ['baseline'] },
] satisfies [(input: { readonly updates: string; readonly baseline: string }) => boolean, unknown];
