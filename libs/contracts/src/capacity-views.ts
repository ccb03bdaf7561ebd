import { z } from 'zod';
import { idSchema } from './ids.js';

/** What the API shows of capacities and of locks of assets. Times are ISO 8601 in UTC. */
const time = z.iso.datetime();

/** Who holds, or waits for, how many units of a key. */
const partSchema = z.object({
  runId: idSchema,
  runbook: z.string(),
  /** Path of the step; empty: the whole run. */
  path: z.string(),
  units: z.int(),
  since: time,
});
export const capacityHolderSchema = partSchema.extend({
  /** The run has ended with a step that may still be at work on its host: kept until then. Null: the run holds it. */
  keptUntil: time.nullable(),
});
export const capacityWaiterSchema = partSchema.extend({ priority: z.int(), position: z.int() });

/** Why a step of a run waits for a key. */
export const capacityShortageSchema = z.object({
  key: z.string(),
  limit: z.int(),
  used: z.int(),
  /** Units that this step wants. */
  units: z.int(),
  holders: z.array(capacityHolderSchema.pick({ runId: true, runbook: true, path: true, units: true })),
});
export type CapacityShortage = z.infer<typeof capacityShortageSchema>;

/** What a run holds or waits for. */
export const runCapacitySchema = z.object({
  /** Path of the step; empty: the whole run. */
  path: z.string(),
  state: z.enum(['held', 'queued']),
  wants: z.array(z.object({ key: z.string(), units: z.int() })),
  since: time,
  /** From 1, among those who want one of the same keys; null: it waits no more. */
  position: z.int().nullable(),
  waitsFor: z.array(capacityShortageSchema),
});
export type RunCapacity = z.infer<typeof runCapacitySchema>;

/** A target that waits because another run changes its asset, or was to before. */
export const assetLockWaitSchema = z.object({
  asset: z.string(),
  since: time,
  /** Null: it has just become free. */
  heldBy: z.object({ runId: idSchema, runbook: z.string(), since: time }).nullable(),
});
export type AssetLockWait = z.infer<typeof assetLockWaitSchema>;
