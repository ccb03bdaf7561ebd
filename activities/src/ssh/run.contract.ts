import { defineAction } from '@fettle/contracts';
import { z } from 'zod';
import { becomeUser } from './become.contract.js';
import { commandContract, commandInput, runsDetached } from './command.contract.js';

export const sshRun = defineAction({
  ...commandContract,
  name: 'ssh.run',
  version: 1,
  summary: 'Runs one command on the target over SSH; the arguments are passed as they are, no shell reads them.',
  input: z.strictObject({
    argv: z.array(z.string().max(131_072)).min(1).max(1000),
    standardInput: z.string().max(1_048_576).optional(),
    ...commandInput,
  }),
  effect: (input) => input.effect,
  detached: runsDetached,
  defaultTimeoutMs: 60_000,
  render: (input) => ({ argv: [input.argv], becomeUser: becomeUser(input.become), files: [], calls: [] }),
});
