import { Buffer } from 'node:buffer';
import { sshRun } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';

export const runCommand = targetAction(sshRun, (input, context) =>
  executeCommand(
    {
      ...input,
      standardInput: input.standardInput === undefined ? undefined : Buffer.from(input.standardInput),
      workingDirectory: input.workingDirectory,
      become: input.become,
    },
    context,
  ),
);
