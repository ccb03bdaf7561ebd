import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';

export const fileRestore = defineAction({
  name: 'file.restore',
  version: 1,
  summary: 'Undoes `file.put`: puts back what stood at the path, or removes the file where nothing did.',
  input: z.strictObject({
    path: z.string().min(2).max(4096).startsWith('/', { message: 'must be an absolute path' }),
    /** Digest of what was put there: a file that somebody else changed since is left as it is. */
    put: z.string().regex(/^[0-9a-f]{64}$/, { message: 'must be a SHA-256 digest, 64 hex digits' }),
    become: becomeSchema.optional(),
  }),
  output: z.object({ result: z.enum(['restored', 'removed', 'nothing']) }),
  scope: 'target',
  effect: () => 'idempotent',
  defaultTimeoutMs: 120_000,
  maxTimeoutMs: 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: null,
  onlyUndoes: true,
  // What it puts back is known on the host alone.
  render: (input) => ({ argv: [], becomeUser: becomeUser(input.become), files: [], calls: [] }),
});
