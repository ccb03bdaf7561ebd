import { Buffer } from 'node:buffer';
import { fileRestore } from '../contracts.js';
import { driverBecome, targetAction } from '../implementation.js';

export const restoreFile = targetAction(fileRestore, async (input, context, { becomeUser }) => {
  const { stepToken, of } = context.undo;
  const result = await context.ssh.restoreFile(context.endpoint, context.credential, {
    path: input.path,
    keptAs: stepToken,
    put: input.put,
    become: await driverBecome(becomeUser, input.become, context.secret),
    timeoutMs: context.timeoutMs,
    signal: context.signal,
  });
  context.output('stdout', Buffer.from(`${input.path}: ${result}\n`));
  // What is to be undone is kept before anything is changed: where nothing is, a step that did not succeed changed nothing.
  if (result === 'nothing' && (of === null || of === 'succeeded')) {
    const message = `What stood at ${input.path} is not kept on ${context.asset.name}, so it cannot be put back.`;
    return { state: 'failed', exitCode: null, error: { code: 'former-file-missing', message }, output: null };
  }
  return { state: 'succeeded', exitCode: null, error: null, output: { result } };
});
