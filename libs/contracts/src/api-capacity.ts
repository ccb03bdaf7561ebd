import { z } from 'zod';
import { pageOf } from './api.js';
import { capacityKeySchema } from './capacity.js';
import { capacityHolderSchema, capacityWaiterSchema } from './capacity-views.js';
import { nameSchema } from './ids.js';

/** Shapes of `/api/v1/capacity`. */

/** `GET /api/v1/capacity` and `GET /api/v1/capacity/:key`: keys that have a document or are in use. */
export const capacitySchemaOfKey = z.object({
  space: nameSchema,
  key: capacityKeySchema,
  limit: z.int(),
  /** Name of the `Capacity` that sets the limit; null: none does. */
  document: nameSchema.nullable(),
  used: z.int(),
  holders: z.array(capacityHolderSchema),
  /** In the order of the queue. */
  queue: z.array(capacityWaiterSchema),
});
export type CapacityOfKey = z.infer<typeof capacitySchemaOfKey>;
export const capacityPageSchema = pageOf(capacitySchemaOfKey);
export const capacityKeyParamSchema = z.object({ key: capacityKeySchema });
/** `POST /api/v1/runs/:id/free-capacity` */
export const freeCapacityRequestSchema = z.strictObject({ reason: z.string().min(1).max(500) });
