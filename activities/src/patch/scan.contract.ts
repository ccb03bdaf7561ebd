import { aptCommands, defineAction, durationSchema, packageManagers } from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema, becomeUser } from '../ssh/become.contract.js';

export const patchScan = defineAction({
  name: 'patch.scan',
  version: 1,
  summary:
    'Reads which packages are installed, which newer versions the sources offer, which of them are security updates, and whether a reboot is asked for.',
  input: z.strictObject({
    /** Reads the lists of the sources anew before; without it what the host knows of them is believed. */
    refresh: z.boolean().default(true),
    /** How long another program that holds the lock of the lists is waited for. */
    lockWait: durationSchema.default('5m'),
    become: becomeSchema.default(true),
  }),
  output: z.object({
    manager: z.enum(packageManagers),
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
        /** When `available` was first seen on offer to a host of the space; RFC 3339. */
        firstSeenAt: z.string(),
      }),
    ),
    /** There are more offers than are given here. */
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
    argv: [...(input.refresh ? [aptCommands.refresh] : []), ...scanCommands],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});

/** What reads the state of a host with apt; `apt-cache policy` is asked for the packages that are installed. */
export const scanCommands: readonly (readonly string[])[] = [
  aptCommands.architecture,
  aptCommands.installed,
  aptCommands.sources,
  aptCommands.listsRead,
  aptCommands.uptime,
  aptCommands.policy,
  aptCommands.journal,
  aptCommands.rebootFile,
  aptCommands.rebootPackages,
  aptCommands.kernel,
];
