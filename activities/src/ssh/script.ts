import { Buffer } from 'node:buffer';
import { sshScript } from '../contracts.js';
import { targetAction } from '../implementation.js';
import { executeCommand } from './execute-command.js';
import { probeCommand } from './probe-command.js';

export const runScript = targetAction(
  sshScript,
  (input, context, rendered) => executeCommand(input, rendered, Buffer.from(input.script), context),
  (input, context, look, { becomeUser }) => probeCommand(input, becomeUser, look, context),
);
