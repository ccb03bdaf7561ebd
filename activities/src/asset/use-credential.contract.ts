import { defineAction, nameSchema } from '@fettle/contracts';
import { z } from 'zod';

export const assetUseCredential = defineAction({
  name: 'asset.use-credential',
  version: 1,
  summary:
    'Signs in to the target with a private key, over a connection of its own, and only where it is let in makes it the credential of the endpoint.',
  input: z.strictObject({
    /**
     * Name of a credential of kind `ssh-private-key`: a password would be shown to the host by trying it. Absent: the one that the
     * endpoint names, which is tried and stays.
     */
    credential: nameSchema.optional(),
  }),
  output: z.object({
    /** The credential that the endpoint named before. */
    previous: z.string(),
    changed: z.boolean(),
  }),
  scope: 'target',
  effect: () => 'idempotent',
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 600_000,
  secretInputs: ['credential'],
  compensation: null,
  probe: null,
  render: () => ({ argv: [['true']], files: [], calls: [] }),
});
