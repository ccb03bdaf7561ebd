import { z } from 'zod';

/** `KIND:NAME`, e.g. `host:web1`, `site:ber`, `db:billing`. Kinds mean nothing to Fettle; they keep names apart. */
export const capacityKeySchema = z
  .string()
  .max(200)
  .regex(/^[a-z][a-z0-9-]{0,30}:[A-Za-z0-9][A-Za-z0-9._:/@-]*$/, {
    message: 'must be KIND:NAME, such as "site:ber": a lower-case kind, and a name of letters, digits and ._:/@-',
  });

export const MAX_CAPACITY_UNITS = 10_000;

/** A capacity as asked for once its key is rendered. */
export const renderedCapacitySchema = z
  .array(
    z.union([
      capacityKeySchema.transform((key) => ({ key, units: 1 })),
      z.strictObject({ key: capacityKeySchema, units: z.int().min(1).max(MAX_CAPACITY_UNITS).default(1) }),
    ]),
  )
  .max(20);

/** How many units of a key may be in use at once, in all runs of the space together. A key without a document has 1. */
export const capacitySpecSchema = z.strictObject({
  description: z.string().max(2000).optional(),
  key: capacityKeySchema,
  limit: z.int().min(1).max(MAX_CAPACITY_UNITS),
});
