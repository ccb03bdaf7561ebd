import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { becomeUser } from './become.contract.js';
import { commandContract, commandInput, runsDetached } from './command.contract.js';

export const sshScript = defineAction({
  ...commandContract,
  name: 'ssh.script',
  version: 1,
  summary:
    'Runs a script on the target with any interpreter; the script goes through standard input, arguments as they are.',
  input: z.strictObject({
    script: z.string().min(1).max(1_048_576),
    /** Command that reads a script from its standard input, e.g. `[python3, "-"]`. */
    interpreter: z.array(z.string().max(4096)).min(1).max(20).default(['/bin/sh', '-s', '--']),
    arguments: z.array(z.string().max(131_072)).max(1000).default([]),
    ...commandInput,
  }),
  effect: (input) => input.effect,
  detached: runsDetached,
  defaultTimeoutMs: 300_000,
  render: (input) => ({
    argv: [[...input.interpreter, ...input.arguments]],
    becomeUser: becomeUser(input.become),
    files: [],
    calls: [],
  }),
});
