import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import type { FileLook } from '@fettle/drivers';
import { judgeFile, type WantedFile } from './probe-file.js';

const sha = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

function wanted(text: string | Buffer, more: Partial<WantedFile> = {}, mode = '0644'): WantedFile {
  const content = Buffer.from(text);
  const file = { path: '/etc/motd', mode, sha256: sha(content), sizeBytes: content.length };
  return { file, owner: undefined, group: undefined, content, ...more };
}

function there(text: string | Buffer, more: Partial<Extract<FileLook, { kind: 'file' }>> = {}): FileLook {
  const content = Buffer.from(text);
  const base = { kind: 'file' as const, mode: '644', owner: 'root', group: 'root', sizeBytes: content.length };
  return { ...base, sha256: sha(content), content, ...more };
}

describe('what a file would become', () => {
  it('is as wanted where content, mode and the given owner and group are', () => {
    expect(judgeFile(wanted('a\n'), there('a\n', { owner: 'ops' }))).toEqual({
      state: 'present',
      summary: '/etc/motd: is as wanted',
      diff: null,
    });
    expect(judgeFile(wanted('a\n', { owner: 'www', group: 'adm' }, '600'), there('a\n')).summary).toBe(
      '/etc/motd: mode 0644 -> 0600, owner root -> www, group root -> adm',
    );
  });

  it('shows what differs in a text that everybody may read, and in no other', () => {
    const answer = judgeFile(wanted('a\nb\n'), there('a\n'));
    expect(answer).toEqual({
      state: 'differs',
      summary: '/etc/motd: content (2 -> 4 bytes)',
      diff: '@@ -1,1 +1,2 @@\n a\n+b',
    });
    for (const hidden of [
      judgeFile(wanted('a\nb\n', {}, '0640'), there('a\n')),
      judgeFile(wanted('a\nb\n'), there('a\n', { mode: '600' })),
      judgeFile(wanted('a\nb\n'), there(Buffer.from([0xff, 0]))),
      judgeFile(wanted('a\nb\n'), there('a\n', { content: null })),
    ]) {
      expect(hidden).toMatchObject({ state: 'differs', diff: null });
    }
  });

  it('is made where nothing is, and cannot be told where it cannot be seen', () => {
    expect(judgeFile(wanted('a\n'), { kind: 'missing' })).toMatchObject({
      state: 'absent',
      diff: '@@ -0,0 +1,1 @@\n+a',
    });
    expect(judgeFile(wanted('a\n', {}, '0600'), { kind: 'missing' }).diff).toBeNull();
    expect(judgeFile(wanted('a\n'), { kind: 'symbolic-link' }).state).toBe('differs');
    for (const kind of ['not-a-file', 'no-directory', 'unreadable'] as const)
      expect(judgeFile(wanted('a\n'), { kind }).state).toBe('unclear');
  });
});
