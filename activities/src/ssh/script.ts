import { Buffer } from 'node:buffer';
import { sshScript } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';

export const runScript = targetAction(sshScript, (input, context, rendered) =>
  executeCommand(input, rendered, Buffer.from(input.script), context),
);
