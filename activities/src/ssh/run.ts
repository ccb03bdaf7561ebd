import { Buffer } from 'node:buffer';
import { sshRun } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';
import { probeCommand } from './probe-command.js';

export const runCommand = targetAction(
  sshRun,
  (input, context, rendered) => {
    const { standardInput } = input;
    return executeCommand(
      input,
      rendered,
      standardInput === undefined ? undefined : Buffer.from(standardInput),
      context,
    );
  },
  (input, context, look, { becomeUser }) => probeCommand(input, becomeUser, look, context),
);
