import { effects, nameSchema, type ProbeLook } from '@fettle/contracts';
import { z } from 'zod';
import { becomeSchema } from './become.contract.js';

const variableSchema = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/);

/** Input that all actions have that run a command on a target. */
export const commandInput = {
  environment: z.record(variableSchema, z.string().max(32_768)).default({}),
  /** Variables whose values are secrets: the names of credentials of kind `password` or `token`. Stronger than `environment`. */
  secretEnvironment: z.record(variableSchema, nameSchema).optional(),
  workingDirectory: z.string().min(1).max(4096).optional(),
  become: becomeSchema.optional(),
  /** Exit codes that count as success. */
  successCodes: z.array(z.int().min(0).max(255)).min(1).max(256).default([0]),
  /** What a second execution would do: a command that only reads may say so, and is then repeated after a crash. */
  effect: z.enum(effects).default('mutating'),
  /**
   * A command that only reads: exit code 0 says that nothing is (any more) to be done, 1 that it is; any other, that it cannot be told.
   * For `plan --check`, and to find out whether a command happened whose worker or connection was lost.
   */
  probe: z.array(z.string().max(131_072)).min(1).max(1000).optional(),
  /** Whether the command outlives the connection and the worker; absent: where it may take more than 30 seconds. */
  detached: z.boolean().optional(),
};

/** Up to this a command stays on its connection: a short one is cheaper to lose than a folder on the host is to make. */
export const MAX_ATTACHED_TIMEOUT_MS = 30_000;

export function runsDetached(input: { readonly detached?: boolean | undefined }, timeoutMs: number): boolean {
  return input.detached ?? timeoutMs > MAX_ATTACHED_TIMEOUT_MS;
}

export const MAX_KEPT_OUTPUT_BYTES = 16_384;

/** What a command leaves for later steps; longer output is cut here and stands whole (within the log limit) in the log. */
export const commandOutputSchema = z.object({
  exitCode: z.int(),
  /** First 16 KiB of standard output without the trailing newline, as UTF-8 with replacement characters. */
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean(),
});

function probeOfCommand(input: { readonly probe?: readonly string[] | undefined }): ProbeLook | null {
  return input.probe === undefined ? null : { argv: input.probe, files: [] };
}

/** What the contracts of those actions have in common beside it. */
export const commandContract = {
  output: commandOutputSchema,
  scope: 'target',
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential', 'secretEnvironment.*'],
  compensation: null,
  probe: probeOfCommand,
} as const;
