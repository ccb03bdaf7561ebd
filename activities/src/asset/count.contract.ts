import { defineAction, FettleError, selectorSchema } from '@fettle/contracts';
import { parseSelector } from '@fettle/expression';
import { z } from 'zod';

export const assetCount = defineAction({
  name: 'asset.count',
  version: 1,
  summary:
    'Counts the assets of the space that a selector selects, of those that whoever requested the run may see; retired ones are none.',
  input: z.strictObject({
    /** As `on` of a call has it. */
    on: selectorSchema.superRefine((source, issues) => {
      const message = problemOf(source);
      if (message !== null) issues.addIssue({ code: 'custom', message });
    }),
  }),
  output: z.object({ count: z.int() }),
  scope: 'control',
  effect: () => 'read-only',
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 600_000,
  secretInputs: [],
  compensation: null,
  probe: null,
  sample: () => ({ count: 1 }),
  render: () => ({ argv: [], files: [], calls: [] }),
});

function problemOf(source: string): string | null {
  try {
    parseSelector(source);
    return null;
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return error.message;
  }
}
