import { defineAction, effects, nameSchema, type Effect } from '@fettle/contracts';
import { z } from 'zod';

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** What RFC 9110 section 9.2 says of a method; a document may know better and say so with `effect`. */
const effectOfMethod: Readonly<Record<(typeof methods)[number], Effect>> = {
  GET: 'read-only',
  HEAD: 'read-only',
  PUT: 'idempotent',
  DELETE: 'idempotent',
  POST: 'mutating',
  PATCH: 'mutating',
};

export const httpRequest = defineAction({
  name: 'http.request',
  version: 1,
  summary: 'Calls a service over HTTP from the worker, once for the run.',
  input: z.strictObject({
    method: z.enum(methods).default('GET'),
    url: z.url({ protocol: /^https?$/ }).max(8192),
    headers: z.record(z.string().regex(/^[A-Za-z0-9-]{1,100}$/), z.string().max(8192)).default({}),
    /** Name of a credential of kind `token`, sent as `Authorization: Bearer`. */
    bearer: nameSchema.optional(),
    /** JSON value; text is sent as it is. */
    body: z.unknown().optional(),
    /** Statuses that count as success. */
    successStatus: z.array(z.int().min(100).max(599)).min(1).max(100).optional(),
    effect: z.enum(effects).optional(),
  }),
  output: z.object({
    status: z.int(),
    /** First 2 KiB of the body as text. */
    body: z.string(),
    truncated: z.boolean(),
  }),
  scope: 'control',
  effect: (input) => input.effect ?? effectOfMethod[input.method],
  defaultTimeoutMs: 30_000,
  maxTimeoutMs: 600_000,
  secretInputs: ['bearer'],
  compensation: null,
  probe: null,
  sample: (input) => ({ status: input.successStatus?.[0] ?? 200 }),
  render: (input) => ({ argv: [], files: [], calls: [{ method: input.method, url: input.url }] }),
});
