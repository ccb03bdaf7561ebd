import {
  aptCommands,
  aptInstall,
  aptSimulate,
  defineAction,
  durationMs,
  durationSchema,
  packageManagers,
  packageNameSchema,
  packagePatternSchema,
  packageVersionSchema,
  patchSkipReasons,
} from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';
import { scanCommands } from './scan.contract.js';

const MAX_PATTERNS = 500;
const changeSchema = z.object({ name: z.string(), architecture: z.string(), from: z.string(), to: z.string() });

export const patchInstall = defineAction({
  name: 'patch.install',
  version: 1,
  summary:
    'Installs updates of packages: security updates, all, or exact versions. Waits for the lock, repairs what was cut off before, never asks, keeps changed configuration files and removes nothing.',
  input: z
    .strictObject({
      updates: z.enum(['security', 'all', 'exact']).default('security'),
      /** With `updates: exact`: these and nothing else. A package that is not installed, or is newer, is left alone. */
      versions: z
        .array(z.strictObject({ name: packageNameSchema, version: packageVersionSchema }))
        .max(2_000)
        .default([]),
      /** Patterns of names; without one, every package is approved. */
      approved: z.array(packagePatternSchema).max(MAX_PATTERNS).default([]),
      /** Patterns of names that are left alone, whatever `approved` says, and whatever needs them. */
      rejected: z.array(packagePatternSchema).max(MAX_PATTERNS).default([]),
      /** A version is left alone until a host of the space was first offered it so long ago. Not of exact versions. */
      delayDays: z.number().min(0).max(365).default(0),
      /** Reads the lists of the sources anew before. */
      refresh: z.boolean().default(true),
      /** How long another program that holds a lock of the package manager is waited for. */
      lockWait: durationSchema.default('10m'),
      become: becomeSchema.default(true),
    })
    .refine(({ updates, versions }) => (updates === 'exact') === versions.length > 0, {
      message: '"versions" belongs to "updates: exact", which needs at least one',
      path: ['versions'],
    }),
  output: z.object({
    manager: z.enum(packageManagers),
    changed: z.boolean(),
    installed: z.array(changeSchema),
    skipped: z.array(
      z.object({
        name: z.string(),
        version: z.string(),
        reason: z.enum(patchSkipReasons),
        detail: z.string().optional(),
      }),
    ),
    /** More was installed or left alone than is given here; the log has all of it. */
    truncated: z.boolean(),
    /** A change of packages that was cut off before had to be repaired. */
    repaired: z.boolean(),
    /** Services that run with files that were replaced, as needrestart says; none where it is not installed. */
    services: z.array(z.string()),
    reboot: z.enum(['needed', 'not-needed', 'unknown']),
    rebootReasons: z.array(z.string()),
  }),
  scope: 'target',
  // Under one token the same versions are installed; what was cut off is repaired and gone on with.
  effect: () => 'idempotent',
  detached: () => true,
  defaultTimeoutMs: 3_600_000,
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: () => ({ argv: aptSimulate, files: [] }),
  changesFacts: true,
  render: (input) => ({
    argv: [
      ...(input.refresh ? [aptCommands.refresh] : []),
      ...scanCommands,
      aptSimulate,
      [
        ...aptInstall(Math.ceil(durationMs(input.lockWait) / 1_000)),
        ...input.versions.map(({ name, version }) => `${name}=${version}`),
      ],
    ],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});
