import { Buffer } from 'node:buffer';
import { sshRun } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';

export const runCommand = targetAction(sshRun, (input, context, rendered) => {
  const { standardInput } = input;
  return executeCommand(input, rendered, standardInput === undefined ? undefined : Buffer.from(standardInput), context);
});
