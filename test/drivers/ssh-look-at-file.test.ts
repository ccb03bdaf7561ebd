import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FileLook, LookAtFileRequest } from '@fettle/drivers';
import { failureOf, startSshBench, type SshBench } from '../support/ssh-client.js';

let ssh: SshBench;
let folder: string;

beforeAll(async () => {
  ssh = await startSshBench({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] });
  folder = join(ssh.sshd.account.home, "a folder's");
  await ssh.run({ argv: ['mkdir', folder] });
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

function look(path: string, more: Partial<LookAtFileRequest> = {}): Promise<FileLook> {
  const { signal } = new AbortController();
  return ssh.pool.lookAtFile(ssh.endpoint, ssh.credential, {
    path,
    maxContentBytes: 100,
    timeoutMs: 30_000,
    signal,
    ...more,
  });
}

describe('looking at a file', () => {
  it('says what is there, with content up to a size, and leaves it as it is', async () => {
    const path = join(folder, "it's $HOME\n.txt");
    const content = Buffer.from([0, 10, 255, 36]);
    await ssh.run({ argv: ['touch', path] });
    await writeFile(path, content);
    const before = await stat(path);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const found = await look(path);
    expect(found).toMatchObject({
      kind: 'file',
      mode: '644',
      owner: ssh.sshd.account.user,
      sizeBytes: 4,
      sha256,
      content,
    });
    expect(await look(path, { maxContentBytes: 3 })).toMatchObject({ sha256, content: null });
    expect(await look(path, { maxContentBytes: 0 })).toMatchObject({ content: null });
    const after = await stat(path);
    expect([after.mtimeMs, after.ctimeMs, after.ino]).toEqual([before.mtimeMs, before.ctimeMs, before.ino]);
    expect(await readdir(folder)).toEqual(["it's $HOME\n.txt"]);
  });

  it('tells apart what is not there, what is no file, and what may not be seen', async () => {
    const { home } = ssh.sshd.account;
    await symlink('/etc/passwd', join(home, 'link'));
    await symlink('/nowhere', join(home, 'dangling'));
    await mkdir(join(home, 'closed'), { mode: 0o700 });
    await writeFile(join(home, 'closed', 'inside'), 'x');
    await writeFile(join(home, 'hidden'), 'x', { mode: 0o600 });
    const kindOf = async (name: string, more: Partial<LookAtFileRequest> = {}): Promise<string> =>
      (await look(join(home, name), more)).kind;
    expect(await kindOf('nothing')).toBe('missing');
    expect(await kindOf('link')).toBe('symbolic-link');
    expect(await kindOf('dangling')).toBe('symbolic-link');
    expect(await kindOf('closed')).toBe('not-a-file');
    // Whoever may not enter a directory cannot say that a file in it is missing.
    expect(await kindOf('closed/inside')).toBe('no-directory');
    expect(await kindOf('nowhere/inside')).toBe('no-directory');
    expect(await kindOf('hidden')).toBe('unreadable');
    expect(await kindOf('closed/inside', { become: {} })).toBe('file');
    expect(await kindOf('hidden', { become: {} })).toBe('file');
  });

  it('ends within its time, and by its signal', async () => {
    await ssh.run({ argv: ['mkfifo', join(ssh.sshd.account.home, 'pipe')] });
    expect((await look(join(ssh.sshd.account.home, 'pipe'))).kind).toBe('not-a-file');
    const failure = await failureOf(look(folder, { signal: AbortSignal.abort() }));
    expect(failure.code).toBe('cancelled');
  });

  it('finds what was begun under a token, and only that', async () => {
    const find = (token: string): Promise<string> =>
      ssh.pool.findProcesses(ssh.endpoint, ssh.credential, {
        token,
        timeoutMs: 30_000,
        signal: new AbortController().signal,
      });
    const token = `token-${Date.now()}`;
    const running = ssh.run({ argv: ['sh', '-c', 'sleep 3 & wait'], token });
    for (let tries = 0; (await find(token)) !== 'some' && tries < 100; tries += 1)
      await new Promise((r) => setTimeout(r, 50));
    expect(await find(token)).toBe('some');
    expect(await find(`${token}-other`)).toBe('none');
    await running;
    expect(await find(token)).toBe('none');
  });
});
