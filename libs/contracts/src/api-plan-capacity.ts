import { z } from 'zod';
import { capacityHolderSchema } from './capacity-views.js';

/** What the run, or a step of it, takes of capacity. */
const plannedWantSchema = z.object({
  /** Of the step; empty: the run itself. */
  path: z.string(),
  /** With what is known; `(known after ...)` where it reads what is not. */
  key: z.string(),
  units: z.int(),
  /** Absent: all of the key is known. */
  knownAfter: z.array(z.string()).optional(),
});
export type PlannedWant = z.infer<typeof plannedWantSchema>;

/** A key of capacity as it is at the moment of the plan. */
const plannedKeySchema = z.object({
  key: z.string(),
  limit: z.int(),
  /** Name of the `Capacity` that sets the limit; null: none does. */
  document: z.string().nullable(),
  /** The most that the run holds of it with one step, what it holds for itself included. */
  units: z.int(),
  used: z.int(),
  /** Steps of other runs that wait for it. */
  waiting: z.int(),
  /** The limit is smaller than what the run wants: it would wait for ever. */
  neverFits: z.boolean(),
  holders: z.array(capacityHolderSchema),
});
export type PlannedKey = z.infer<typeof plannedKeySchema>;

/** A target whose asset a run of somebody holds; at most 20 are named. */
const heldAssetSchema = z.object({
  asset: z.string(),
  runId: z.string(),
  runbook: z.string(),
  since: z.iso.datetime(),
  /** Runs that wait for it, too. */
  waiting: z.int(),
});
export type HeldAsset = z.infer<typeof heldAssetSchema>;

/** What a run wants of capacity, and what of it others hold at the moment of the plan. */
export const plannedCapacitySchema = z.object({
  wants: z.array(plannedWantSchema),
  /** What stands in its way now, for a person: keys of capacity, and assets (`asset:NAME`) that another run changes. */
  conflicts: z.array(z.object({ key: z.string(), message: z.string() })),
  /** Each of these keys as it is now; absent where nobody could be asked (a plan of a file). */
  keys: z.array(plannedKeySchema).optional(),
  /** Targets that other runs change, or wait to change, now. */
  assets: z.object({ count: z.int(), held: z.array(heldAssetSchema) }).optional(),
});
