import {
  aptInstall,
  aptSimulate,
  decidingBaselineSchema,
  defineAction,
  durationMs,
  durationSchema,
  dnfInstall,
  dnfSimulate,
  packageManagers,
  packageNameSchema,
  packageVersionSchema,
  patchSkipReasons,
} from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';
import { baselineRefinement, ruleShape } from './rules.contract.js';
import { refreshCommands, scanCommands } from './scan.contract.js';

const changeSchema = z.object({ name: z.string(), architecture: z.string(), from: z.string(), to: z.string() });

export const patchInstall = defineAction({
  name: 'patch.install',
  version: 1,
  summary:
    'Installs updates of packages: those of a baseline, security updates, all, or exact versions. Waits for the lock, repairs what was cut off before, never asks, keeps changed configuration files and removes nothing.',
  input: z
    .strictObject({
      /** `baseline`: by a baseline, which the other rules here narrow; `security` and `all`: by the rules here alone. */
      updates: z.enum(['baseline', 'security', 'all', 'exact']).default('baseline'),
      ...ruleShape,
      /** With `updates: exact`: these and nothing else. A package that is not installed, or is newer, is left alone. */
      versions: z
        .array(z.strictObject({ name: packageNameSchema, version: packageVersionSchema }))
        .max(2_000)
        .default([]),
      /** Reads the lists of the sources anew before. */
      refresh: z.boolean().default(true),
      /** How long another program that holds a lock of the package manager is waited for. */
      lockWait: durationSchema.default('10m'),
      become: becomeSchema.default(true),
    })
    .refine(({ updates, versions }) => (updates === 'exact') === versions.length > 0, {
      message: '"versions" belongs to "updates: exact", which needs at least one',
      path: ['versions'],
    })
    .refine(...baselineRefinement)
    .refine(({ updates, tested }) => updates !== 'exact' || tested === '', {
      message: '"tested" does not go with "updates: exact", which names the versions itself',
      path: ['tested'],
    }),
  output: z.object({
    manager: z.enum(packageManagers),
    /** What decided; null: no baseline, but the rules of the step or security updates. */
    baseline: decidingBaselineSchema.nullable(),
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
    /** What went wrong with packages that count as installed all the same: of rpm, a script that failed after the files were in place. */
    warnings: z.array(z.string()),
    /** Configuration files of the new versions that lie beside those that were changed on the host, or the other way round. */
    keptFiles: z.array(z.string()),
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
      ...(input.refresh ? refreshCommands : []),
      ...scanCommands,
      aptSimulate,
      [
        ...aptInstall(Math.ceil(durationMs(input.lockWait) / 1_000)),
        ...input.versions.map(({ name, version }) => `${name}=${version}`),
      ],
      // On a host with dnf.
      dnfSimulate,
      [...dnfInstall, '--', ...input.versions.map(({ name, version }) => `${name}-${version}`)],
    ],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});
