import { defineAction, effects } from '@fettle/contracts';
import { z } from 'zod';
import { becomeArgv, becomeSchema, commandOutputSchema, environmentSchema } from './become.contract.js';

export const sshRun = defineAction({
  name: 'ssh.run',
  version: 1,
  summary: 'Runs one command on the target over SSH; the arguments are passed as they are, no shell reads them.',
  input: z.strictObject({
    argv: z.array(z.string().max(131_072)).min(1).max(1000),
    environment: environmentSchema.default({}),
    workingDirectory: z.string().min(1).max(4096).optional(),
    standardInput: z.string().max(1_048_576).optional(),
    become: becomeSchema.optional(),
    /** Exit codes that count as success. */
    successCodes: z.array(z.int().min(0).max(255)).min(1).max(256).default([0]),
    /** What a second execution would do: a command that only reads may say so, and is then repeated after a crash. */
    effect: z.enum(effects).default('mutating'),
  }),
  output: commandOutputSchema,
  scope: 'target',
  effect: (input) => input.effect,
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: false,
  render: (input) => ({ argv: [[...becomeArgv(input.become), ...input.argv]], files: [], calls: [] }),
});
