import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { SshPool } from '@fettle/drivers';
import { failureOf, startSshBench, type SshBench } from '../support/ssh-client.js';

let ssh: SshBench;
let folder: string;

beforeAll(async () => {
  ssh = await startSshBench({ users: [{ sudoers: 'ALL=(ALL) NOPASSWD: ALL' }] }, { killGraceMs: 300 });
  folder = join(ssh.sshd.account.home, "a folder's");
  await ssh.run({ argv: ['mkdir', folder] });
}, 300_000);
afterAll(() => ssh?.stop(), 60_000);

const bounds = () => ({ timeoutMs: 30_000, signal: new AbortController().signal });
const put = (path: string, content: string, keepAs: string, more: object = {}): ReturnType<SshPool['putFile']> =>
  ssh.pool.putFile(ssh.endpoint, ssh.credential, {
    ...{ path, content: Buffer.from(content), mode: '0644', keepAs },
    ...bounds(),
    ...more,
  });
const restore = (
  path: string,
  content: string,
  keptAs: string,
  more: object = {},
): ReturnType<SshPool['restoreFile']> =>
  ssh.pool.restoreFile(ssh.endpoint, ssh.credential, {
    ...{ path, keptAs, put: createHash('sha256').update(content).digest('hex') },
    ...bounds(),
    ...more,
  });

describe('restoreFile', () => {
  it('puts back content, mode and owner, and does so again when asked again', async () => {
    const path = join(folder, "it's $HOME");
    await put(path, 'old\n', 'unused', { mode: '0640', owner: 'nobody', become: {} });
    await put(path, 'new\n', 'one', { become: {} });
    expect(await readFile(path, 'utf8')).toBe('new\n');
    for (let times = 0; times < 2; times += 1) {
      expect(await restore(path, 'new\n', 'one', { become: {} })).toBe('restored');
      expect(await readFile(path, 'utf8')).toBe('old\n');
      const { stdout } = await ssh.run({ argv: ['stat', '-c', '%a %U', path] });
      expect(stdout).toBe('640 nobody\n');
    }
  });

  it('keeps what stood there before the first attempt, and removes what was put where nothing stood', async () => {
    const path = join(folder, 'twice');
    await put(path, 'first\n', 'two');
    await put(path, 'second\n', 'two');
    expect(await restore(path, 'second\n', 'two')).toBe('removed');
    expect(await restore(path, 'second\n', 'two')).toBe('removed');
    expect(await readdir(folder)).not.toContain('twice');
  });

  it('puts back a symbolic link, and a mode alone', async () => {
    const [other, link, moded] = ['other', 'link', 'moded'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(other, 'other');
    await symlink(other, link);
    await put(link, 'x\n', 'three', { become: {} });
    expect((await lstat(link)).isSymbolicLink()).toBe(false);
    expect(await restore(link, 'x\n', 'three', { become: {} })).toBe('restored');
    expect(await readlink(link)).toBe(other);
    await put(moded, 'x\n', 'unused');
    await put(moded, 'x\n', 'three', { mode: '0600' });
    expect(await restore(moded, 'x\n', 'three')).toBe('restored');
    expect((await stat(moded)).mode & 0o777).toBe(0o644);
  });

  it('changes nothing where nothing is kept, or where somebody else changed the file since', async () => {
    const path = join(folder, 'changed');
    await put(path, 'old\n', 'unused');
    await put(path, 'new\n', 'four');
    await put(path, 'by somebody else\n', 'unused');
    const error = await failureOf(restore(path, 'new\n', 'four'));
    expect(error).toMatchObject({ code: 'file-restore-failed', detail: { mayHaveStarted: false } });
    expect(error.message).toContain('changed by somebody else');
    expect(await restore(path, 'new\n', 'never')).toBe('nothing');
    expect(await readFile(path, 'utf8')).toBe('by somebody else\n');
    const inside = join(folder, 'readonly');
    await ssh.run({ argv: ['mkdir', inside] });
    await put(join(inside, 'file'), 'old\n', 'unused');
    await put(join(inside, 'file'), 'new\n', 'four');
    await ssh.run({ argv: ['sudo', 'chown', 'root', inside] });
    expect(await failureOf(restore(join(inside, 'file'), 'new\n', 'four'))).toMatchObject({
      code: 'file-restore-failed',
    });
    await rm(inside, { recursive: true });
  });

  it('keeps the five latest of a path, and no other path suffers', async () => {
    const inside = join(folder, 'many');
    await ssh.run({ argv: ['mkdir', inside] });
    await put(join(inside, 'other'), 'x\n', 'mine');
    for (let number = 0; number < 8; number += 1) await put(join(inside, 'file'), `${number}\n`, `run ${number}`);
    const kept = (await readdir(inside)).filter((name) => name.startsWith('.fettle-former-'));
    expect(kept.filter((name) => !name.endsWith('.absent'))).toHaveLength(5);
    expect(kept.filter((name) => name.endsWith('.absent'))).toHaveLength(1);
    expect(await restore(join(inside, 'file'), '7\n', 'run 7')).toBe('restored');
    expect(await readFile(join(inside, 'file'), 'utf8')).toBe('6\n');
    expect(await restore(join(inside, 'other'), 'x\n', 'mine')).toBe('removed');
  });
});
