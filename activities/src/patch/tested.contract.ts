import { defineAction, durationSchema } from '@fettle/contracts';
import { z } from 'zod';

export const patchTested = defineAction({
  name: 'patch.tested',
  version: 1,
  summary:
    'Keeps which versions of packages run on the hosts that came through a run of patching: what later hosts may install as `tested`.',
  input: z.strictObject({
    /** Id of a run of the same space whose hosts were scanned or patched; `run.id` of a called runbook by its outputs. */
    run: z.string().min(1).max(100),
    /** How long they are to go on with it before others follow; `soakedAt` says when that is over. */
    soak: durationSchema.optional(),
  }),
  output: z.object({
    /** Names the set: `tested` of `patch.scan` and `patch.install`. */
    digest: z.string(),
    hosts: z.int(),
    /** Hosts that came through the run. More than `hosts`: another run has scanned some since, or they do not tell their release. */
    succeeded: z.int(),
    /** Releases of operating systems among them. */
    releases: z.array(z.string()),
    /** Versions of packages in the set, for all releases. */
    packages: z.int(),
    /** Versions among them that the run itself installed. */
    updates: z.int(),
    /** When `soak` is over; RFC 3339. */
    soakedAt: z.string(),
  }),
  scope: 'control',
  // The same set has the same digest, and is kept once.
  effect: () => 'idempotent',
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 600_000,
  secretInputs: [],
  compensation: null,
  probe: null,
  sample: () => ({ digest: `sha256:${'0'.repeat(64)}`, hosts: 1, succeeded: 1, soakedAt: '2026-01-01T00:00:00.000Z' }),
  render: () => ({ argv: [], files: [], calls: [] }),
});
