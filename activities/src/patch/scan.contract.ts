import {
  aptCommands,
  aptSimulate,
  decidingBaselineSchema,
  defineAction,
  dnfCommands,
  dnfScanCommands,
  dnfSimulate,
  durationSchema,
  packageManagers,
  releaseCommand,
} from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';
import { baselineRefinement, ruleShape } from './rules.contract.js';

export const patchScan = defineAction({
  name: 'patch.scan',
  version: 1,
  summary:
    'Reads which packages are installed, which newer versions the sources offer, which of them are security updates, and whether a reboot is asked for.',
  input: z
    .strictObject({
      /** Reads the lists of the sources anew before; without it what the host knows of them is believed. */
      refresh: z.boolean().default(true),
      /** How long another program that holds the lock of the lists is waited for. */
      lockWait: durationSchema.default('5m'),
      /** What is told as wanted: what `patch.install` would choose by the same rules. */
      updates: z.enum(['baseline', 'security', 'all']).default('baseline'),
      ...ruleShape,
      become: becomeSchema.default(true),
    })
    .refine(...baselineRefinement),
  output: z.object({
    manager: z.enum(packageManagers),
    /** What decided what is wanted; null: no baseline, but the rules of the step or security updates. */
    baseline: decidingBaselineSchema.nullable(),
    /** Updates that `patch.install` would install now by the same rules. */
    wanted: z.int(),
    /** Updates that are wanted and that it would leave alone: what comes along with them is to be kept out, or cannot be had or told. */
    leftAlone: z.array(
      z.object({
        name: z.string(),
        version: z.string(),
        reason: z.enum(['needs-other', 'after-repair']),
        detail: z.string(),
      }),
    ),
    /** Why the package manager installs nothing at all as the host is, what is wanted included; null: it does. */
    refusal: z.string().nullable(),
    packages: z.int(),
    updates: z.int(),
    securityUpdates: z.int(),
    held: z.array(z.string()),
    /** The most important first: security updates, then by name. */
    offers: z.array(
      z.object({
        name: z.string(),
        architecture: z.string(),
        installed: z.string(),
        available: z.string(),
        isSecurity: z.boolean(),
        severity: z.string().nullable(),
        isHeld: z.boolean(),
        /** What holds it are pins of apt's preferences, or its default release. */
        isPinned: z.boolean().optional(),
        /** When `available` was first seen on offer to a host of the space; RFC 3339. */
        firstSeenAt: z.string(),
      }),
    ),
    /** There are more offers, or more that is left alone, than are given here. */
    truncated: z.boolean(),
    isInterrupted: z.boolean(),
    reboot: z.enum(['needed', 'not-needed', 'unknown']),
    rebootReasons: z.array(z.string()),
  }),
  scope: 'target',
  // The lists of the sources are a cache of the host's; nothing else is written there.
  effect: () => 'read-only',
  defaultTimeoutMs: 600_000,
  maxTimeoutMs: 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: null,
  render: (input) => ({
    // The updates that are wanted follow the last two, of which a host is asked one.
    argv: [...(input.refresh ? refreshCommands : []), ...scanCommands, aptSimulate, dnfSimulate],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});

/** Which of them a host is asked is known once its package manager is. */
export const refreshCommands: readonly (readonly string[])[] = [aptCommands.refresh, dnfCommands.refresh];

/**
 * What reads the state of a host: with apt, or with dnf. `apt-cache policy` is asked for the packages that are installed,
 * without pins for those of them of which a newer version is there than the one that would be chosen.
 */
export const scanCommands: readonly (readonly string[])[] = [
  aptCommands.architecture,
  aptCommands.installed,
  aptCommands.sources,
  aptCommands.listsRead,
  aptCommands.uptime,
  aptCommands.policy,
  aptCommands.policyWithoutPins,
  aptCommands.journal,
  aptCommands.rebootFile,
  aptCommands.rebootPackages,
  aptCommands.kernel,
  releaseCommand,
  ...dnfScanCommands,
];
