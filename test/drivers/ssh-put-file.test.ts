import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, symlink, writeFile, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PutFileRequest, SshPool } from '@fettle/drivers';
import { failureOf, startSshBench, type SshBench } from '../support/ssh-client.js';

let ssh: SshBench;
let folder: string;

beforeAll(async () => {
  ssh = await startSshBench({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }, { killGraceMs: 300 });
  folder = join(ssh.sshd.account.home, "a folder's");
  await ssh.run({ argv: ['mkdir', folder] });
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

function put(request: Partial<PutFileRequest> & Pick<PutFileRequest, 'path'>): ReturnType<SshPool['putFile']> {
  return ssh.pool.putFile(ssh.endpoint, ssh.credential, {
    content: Buffer.from('content\n'),
    mode: '0644',
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    ...request,
  });
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8);
}

describe('putFile', () => {
  it('writes bytes of any kind, and nothing the second time', async () => {
    const path = join(folder, "it's $HOME\n.bin");
    const content = randomBytes(1_500_000);
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(await put({ path, content, mode: '0640' })).toEqual({ changed: true, sha256 });
    expect((await readFile(path)).equals(content)).toBe(true);
    expect(await modeOf(path)).toBe('640');
    const before = await stat(path);
    expect(await put({ path, content, mode: '640' })).toEqual({ changed: false, sha256 });
    const after = await stat(path);
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(await put({ path, content, mode: '0600' })).toEqual({ changed: true, sha256 });
    expect(await modeOf(path)).toBe('600');
    expect(await put({ path, content: Buffer.alloc(0), mode: '0600' })).toMatchObject({ changed: true });
    expect(await readdir(folder)).toEqual(["it's $HOME\n.bin"]);
  });

  it('sets owner and group as root, and notices them', async () => {
    const path = join(folder, 'owned');
    const request = { path, become: {}, owner: 'nobody', group: 'nogroup', mode: '4755' };
    expect(await put(request)).toMatchObject({ changed: true });
    expect(await modeOf(path)).toBe('4755');
    const { stdout } = await ssh.run({ argv: ['stat', '-c', '%U:%G', path] });
    expect(stdout).toBe('nobody:nogroup\n');
    expect(await put(request)).toMatchObject({ changed: false });
    expect(await put({ ...request, owner: 'root' })).toMatchObject({ changed: true });
  });

  it('is never seen in part: readers find the old or the new content', async () => {
    const path = join(folder, 'swapped');
    const contents = ['a', 'b'].map((letter) => Buffer.alloc(2_000_000, letter));
    await put({ path, content: contents[0]! });
    let writing = true;
    const seen = new Set<string>();
    const reader = (async () => {
      while (writing) {
        const text = await readFile(path);
        seen.add(`${text.length}${String.fromCharCode(text[0]!)}${text.every((byte) => byte === text[0])}`);
      }
    })();
    for (let index = 1; index <= 6; index += 1) await put({ path, content: contents[index % 2]! });
    writing = false;
    await reader;
    expect([...seen].sort()).toEqual(expect.arrayContaining(['2000000atrue']));
    expect([...seen].filter((each) => !['2000000atrue', '2000000btrue'].includes(each))).toEqual([]);
  });

  it('replaces a symbolic link and leaves the file that it names', async () => {
    const other = join(folder, 'other');
    const path = join(folder, 'link');
    await writeFile(other, 'other');
    await symlink(other, path);
    expect(await put({ path, become: {} })).toMatchObject({ changed: true });
    expect((await lstat(path)).isSymbolicLink()).toBe(false);
    expect(await readFile(other, 'utf8')).toBe('other');
  });

  it('refuses what it cannot write and leaves nothing behind', async () => {
    const inside = join(folder, 'directory');
    await mkdir(inside);
    const before = await readdir(folder);
    const cases: { path: string; owner?: string; says: RegExp }[] = [
      { path: inside, says: /not a regular file/ },
      { path: join(folder, 'missing/file'), says: /does not exist/ },
      { path: '/etc/fettle-must-not-be', says: /no file can be made/ },
      { path: join(folder, 'chown'), owner: 'root', says: /not permitted/i },
      { path: join(folder, 'chown'), owner: 'no-such-user', says: /invalid user/i },
    ];
    for (const { says, ...request } of cases) {
      const error = await failureOf(put(request));
      expect(error).toMatchObject({ code: 'file-put-failed', detail: { mayHaveStarted: false } });
      expect(error.message).toMatch(says);
    }
    for (const bad of [
      { path: 'relative' },
      { path: '/a/../b' },
      { path: '/a/' },
      { path: '/a', mode: '9' },
      { path: '/a', owner: '-x' },
    ]) {
      expect((await failureOf(put(bad))).code).toBe('invalid-argument');
    }
    expect(await readdir(folder)).toEqual(before);
  });

  it('leaves the old file and no temporary one when it is cancelled or cut off midway', async () => {
    const path = join(folder, 'kept');
    await put({ path });
    const before = await readdir(folder);
    for (const stop of [async (abort: AbortController) => abort.abort(), () => ssh.sshd.cutSessions()]) {
      const abort = new AbortController();
      // Large enough to be under way when the stop comes.
      const failed = failureOf(put({ path, content: Buffer.alloc(300_000_000), signal: abort.signal }));
      await untilTemporaryFile(folder);
      await stop(abort);
      expect(['cancelled', 'connection-lost']).toContain((await failed).code);
      expect(await readFile(path, 'utf8')).toBe('content\n');
      await untilGone(folder, before);
    }
  }, 60_000);
});

async function untilTemporaryFile(directory: string): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if ((await readdir(directory)).some((name) => name.startsWith('.fettle-'))) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error('the transfer never began');
}

/** A host that was cut off cleans up by itself, a moment later. */
async function untilGone(directory: string, names: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await readdir(directory)).length === names.length) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await readdir(directory)).toEqual(names);
}
