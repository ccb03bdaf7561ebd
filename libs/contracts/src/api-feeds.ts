import { z } from 'zod';
import { pageOf } from './api.js';
import { DEFAULT_SPACE, idSchema, nameSchema } from './ids.js';

const time = z.iso.datetime();

export const createFeedRequestSchema = z.strictObject({
  space: nameSchema.default(DEFAULT_SPACE),
  /** What it is for. */
  name: z.string().min(1).max(100),
});
export type CreateFeedRequest = z.infer<typeof createFeedRequestSchema>;

/** An address at which calendar programs read the schedules of a space, with the rights of its owner. */
export const feedSchema = z.object({
  id: idSchema,
  space: nameSchema,
  name: z.string(),
  owner: nameSchema,
  createdAt: time,
  lastUsedAt: time.nullable(),
  revokedAt: time.nullable(),
});
export type Feed = z.infer<typeof feedSchema>;
export const feedPageSchema = pageOf(feedSchema);

/** `path` holds the token: whoever knows it reads the feed. It is told this once. */
export const createdFeedSchema = feedSchema.extend({ path: z.string() });
export type CreatedFeed = z.infer<typeof createdFeedSchema>;

/** Of the path of a feed: `TOKEN.ics`. */
export const feedFileParamSchema = z.object({ file: z.string().min(1).max(200) });
