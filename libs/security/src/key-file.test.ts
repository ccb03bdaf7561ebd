import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { loadKeyFile, loadOrCreateKeyFile } from './key-file.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-key-file-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('loadOrCreateKeyFile', () => {
  it('creates the file for its owner only, once', async () => {
    const path = join(folder, 'keys', 'sealing.key');
    const before = process.umask(0);
    try {
      expect(await loadOrCreateKeyFile(path, () => 'first\n')).toBe('first\n');
    } finally {
      process.umask(before);
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700);
    expect(await loadOrCreateKeyFile(path, () => 'second\n')).toBe('first\n');
    expect(await readdir(join(folder, 'keys'))).toEqual(['sealing.key']);
  });

  it('gives all that start at once the same key', async () => {
    const path = join(folder, 'raced.key');
    const texts = await Promise.all(
      Array.from({ length: 16 }, (_, i) => loadOrCreateKeyFile(path, () => `key ${i}\n`)),
    );
    expect(new Set(texts)).toEqual(new Set([await readFile(path, 'utf8')]));
    expect((await readdir(folder)).filter((name) => name.startsWith('raced'))).toEqual(['raced.key']);
  });

  it('leaves nothing behind where the key cannot be made', async () => {
    const path = join(folder, 'failing', 'a.key');
    const failing = (): string => {
      throw new Error('no entropy');
    };
    await expect(loadOrCreateKeyFile(path, failing)).rejects.toThrow('no entropy');
    expect(await readdir(join(folder, 'failing'))).toEqual([]);
  });

  it('refuses a file that group or others may read or write, and says how to mend it', async () => {
    const path = join(folder, 'open.key');
    await writeFile(path, 'secret text\n');
    for (const mode of [0o640, 0o604, 0o660, 0o602, 0o644, 0o777]) {
      await chmod(path, mode);
      const refused = loadOrCreateKeyFile(path, () => 'x');
      await expect(refused).rejects.toMatchObject({
        code: 'unsafe-key-file',
        remedy: expect.stringContaining(`chmod 600 ${path}`),
      });
      await expect(refused).rejects.toThrow(`has mode ${mode.toString(8).padStart(4, '0')}`);
      await expect(refused).rejects.not.toThrow(/secret text/);
    }
    await chmod(path, 0o400);
    expect(await loadKeyFile(path)).toBe('secret text\n');
  });

  it('judges what a link points at', async () => {
    await writeFile(join(folder, 'target.key'), 'x', { mode: 0o644 });
    await chmod(join(folder, 'target.key'), 0o644);
    await symlink('target.key', join(folder, 'link.key'));
    await expect(loadKeyFile(join(folder, 'link.key'))).rejects.toMatchObject({ code: 'unsafe-key-file' });
  });

  it('refuses what is missing, empty, huge or no file, without hanging', async () => {
    await expect(loadKeyFile(join(folder, 'none.key'))).rejects.toMatchObject({ code: 'not-found' });
    const path = join(folder, 'sized.key');
    await writeFile(path, '', { mode: 0o600 });
    await expect(loadKeyFile(path)).rejects.toMatchObject({ code: 'invalid-key-file' });
    await truncate(path, 1024 * 1024);
    await expect(loadKeyFile(path)).rejects.toMatchObject({ code: 'invalid-key-file' });
    await expect(loadKeyFile(folder)).rejects.toThrow(/not a plain file/);
    const fifo = join(folder, 'fifo.key');
    execFileSync('mkfifo', ['-m', '600', fifo]);
    await expect(loadKeyFile(fifo)).rejects.toThrow(/not a plain file/);
  });

  it('refuses a file of somebody else', async () => {
    const path = join(folder, 'foreign.key');
    await writeFile(path, 'x', { mode: 0o600 });
    // Only root can give a file away; anybody else is made to look like another user than the file's owner.
    const root = process.getuid?.() === 0;
    if (root) await chown(path, 65_534, 65_534);
    const spy = jest.spyOn(process as { getuid: () => number }, 'getuid').mockReturnValue(root ? 0 : 65_533);
    try {
      await expect(loadKeyFile(path)).rejects.toThrow(/belongs to user \d+, not to user/);
    } finally {
      spy.mockRestore();
    }
  });
});
