import { Buffer } from 'node:buffer';
import { fileContent, filePut } from '../contracts.js';
import { driverBecome, targetAction } from '../implementation.js';
import { judgeFile, MAX_DIFF_BYTES } from './probe-file.js';

export const putFile = targetAction(
  filePut,
  async (input, context, { files, becomeUser }) => {
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
  },
  async (input, context, _look, { files, becomeUser }) => {
    const file = files[0]!;
    const look = await context.ssh.lookAtFile(context.endpoint, context.credential, {
      path: file.path,
      maxContentBytes: context.wantsDiff ? MAX_DIFF_BYTES : 0,
      become: await driverBecome(becomeUser, input.become, context.secret),
      timeoutMs: context.timeoutMs,
      signal: context.signal,
    });
    const { owner, group } = input;
    const answer = judgeFile({ file, owner, group, content: fileContent(input) }, look);
    // Of an attempt that was lost: it may have been the one that changed the file, and what depends on that is to happen.
    return { ...answer, output: answer.state === 'present' ? { changed: true, sha256: file.sha256 } : null };
  },
);
