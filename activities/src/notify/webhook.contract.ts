import { defineAction, nameSchema } from '@fettle/contracts';
import { z } from 'zod';

/** Signed as Standard Webhooks says (standardwebhooks.com, specification 1.0). */
export const notifyWebhook = defineAction({
  name: 'notify.webhook',
  version: 1,
  summary: 'Tells a service over HTTP that something happened, signed per Standard Webhooks; a repeat has the same id.',
  input: z.strictObject({
    url: z.url({ protocol: /^https?$/ }).max(8192),
    /** Name of a credential of kind `token`: one or more secrets `whsec_...`, apart by spaces; each makes a signature. */
    secret: nameSchema,
    /** What happened, e.g. `run.failed`. */
    type: z
      .string()
      .regex(/^[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)*$/, { message: 'must be words apart by full stops' })
      .max(100),
    data: z.record(z.string(), z.unknown()).default({}),
    /** When it happened; default: now. */
    timestamp: z.iso.datetime().optional(),
  }),
  output: z.object({ status: z.int(), id: z.string() }),
  scope: 'control',
  effect: () => 'idempotent',
  defaultTimeoutMs: 20_000,
  maxTimeoutMs: 120_000,
  secretInputs: ['secret'],
  compensation: null,
  probe: null,
  render: (input) => ({ argv: [], files: [], calls: [{ method: 'POST', url: input.url }] }),
});
