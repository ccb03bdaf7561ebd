import {
  aptDowngrade,
  aptSimulateDowngrade,
  defineAction,
  dnfDowngrade,
  dnfSimulateDowngrade,
  durationMs,
  durationSchema,
} from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';
import { scanCommands } from './scan.contract.js';

export const patchRestore = defineAction({
  name: 'patch.restore',
  version: 1,
  summary:
    'Undoes `patch.install` where a step names it as its rollback: puts back the versions of the packages that it chose, and begins only if the sources still offer them all. What came along as a dependency stays.',
  input: z.strictObject({
    lockWait: durationSchema.default('10m'),
    become: becomeSchema.default(true),
  }),
  output: z.object({
    restored: z.array(z.object({ name: z.string(), architecture: z.string(), from: z.string(), to: z.string() })),
  }),
  scope: 'target',
  effect: () => 'idempotent',
  defaultTimeoutMs: 3_600_000,
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: null,
  onlyUndoes: true,
  changesFacts: true,
  render: (input) => ({
    // The versions are those that the ledger has of the step.
    argv: [
      ...scanCommands,
      aptSimulateDowngrade,
      aptDowngrade(Math.ceil(durationMs(input.lockWait) / 1_000)),
      // On a host with dnf.
      dnfSimulateDowngrade,
      dnfDowngrade,
    ],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});
