import { Buffer } from 'node:buffer';
import { fileContent, filePut } from '../contracts.js';
import { driverBecome, targetAction } from '../implementation.js';

export const putFile = targetAction(filePut, async (input, context, { files, becomeUser }) => {
  const file = files[0]!;
  const result = await context.ssh.putFile(context.endpoint, context.credential, {
    path: file.path,
    content: Buffer.from(fileContent(input)),
    mode: file.mode,
    owner: input.owner,
    group: input.group,
    ...(context.undo.keeps ? { keepAs: context.undo.stepToken } : {}),
    become: await driverBecome(becomeUser, input.become, context.secret),
    timeoutMs: context.timeoutMs,
    signal: context.signal,
  });
  context.output(
    'stdout',
    Buffer.from(`${file.path}: ${result.changed ? 'written' : 'unchanged'}, sha256 ${result.sha256}\n`),
  );
  return {
    state: 'succeeded',
    exitCode: null,
    error: null,
    output: { changed: result.changed, sha256: result.sha256 },
  };
});
