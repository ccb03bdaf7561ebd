import { defineAction, effects } from '@fettle/contracts';
import { z } from 'zod';
import { becomeArgv, becomeSchema, commandOutputSchema, environmentSchema } from './become.contract.js';

export const sshScript = defineAction({
  name: 'ssh.script',
  version: 1,
  summary:
    'Runs a script on the target with any interpreter; the script goes through standard input, arguments as they are.',
  input: z.strictObject({
    script: z.string().min(1).max(1_048_576),
    /** Command that reads a script from its standard input, e.g. `[python3, "-"]`. */
    interpreter: z.array(z.string().max(4096)).min(1).max(20).default(['/bin/sh', '-s', '--']),
    arguments: z.array(z.string().max(131_072)).max(1000).default([]),
    environment: environmentSchema.default({}),
    workingDirectory: z.string().min(1).max(4096).optional(),
    become: becomeSchema.optional(),
    successCodes: z.array(z.int().min(0).max(255)).min(1).max(256).default([0]),
    effect: z.enum(effects).default('mutating'),
  }),
  output: commandOutputSchema,
  scope: 'target',
  effect: (input) => input.effect,
  defaultTimeoutMs: 300_000,
  maxTimeoutMs: 6 * 3_600_000,
  secretInputs: ['become.credential'],
  compensation: null,
  probe: false,
  render: (input) => ({
    argv: [[...becomeArgv(input.become), ...input.interpreter, ...input.arguments]],
    files: [],
    calls: [],
  }),
});
