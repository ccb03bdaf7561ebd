import { Buffer } from 'node:buffer';
import { sshScript } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';

export const runScript = targetAction(sshScript, (input, context) =>
  executeCommand(
    {
      argv: [...input.interpreter, ...input.arguments],
      standardInput: Buffer.from(input.script),
      environment: input.environment,
      workingDirectory: input.workingDirectory,
      become: input.become,
      successCodes: input.successCodes,
    },
    context,
  ),
);
