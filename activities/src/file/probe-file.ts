import { Buffer, isUtf8 } from 'node:buffer';
import type { ProbeAnswer, RenderedFile } from '@fettle/contracts';
import type { FileLook } from '@fettle/drivers';
import { unifiedDiff } from './unified-diff.js';

/** Files up to this size are compared line by line. */
export const MAX_DIFF_BYTES = 64 * 1024;
const MAX_DIFF_LINES = 60;
const MAX_DIFF_CHARACTERS = 8 * 1024;

/** What is to lie at the path. */
export interface WantedFile {
  readonly file: RenderedFile;
  readonly owner: string | undefined;
  readonly group: string | undefined;
  readonly content: Uint8Array;
}

/** Holds what lies at a path against what is to lie there. */
export function judgeFile(wanted: WantedFile, look: FileLook): ProbeAnswer {
  const { path } = wanted.file;
  const say = (state: ProbeAnswer['state'], text: string): ProbeAnswer => ({
    state,
    summary: `${path}: ${text}`,
    diff: null,
  });
  switch (look.kind) {
    case 'missing':
      return { ...say('absent', `is not there, would be made (mode ${wanted.file.mode})`), diff: diffOf(wanted, null) };
    case 'symbolic-link':
      return say('differs', 'is a symbolic link, would be replaced by a file');
    case 'not-a-file':
      return say('unclear', 'is not a regular file, so that the step would fail');
    case 'no-directory':
      return say('unclear', 'its directory is not there, or may not be entered');
    case 'unreadable':
      return say('unclear', 'may not be read by whom the step acts as');
    case 'file': {
      const changes = changesOf(wanted, look);
      if (changes.length === 0) return say('present', 'is as wanted');
      return { ...say('differs', changes.join(', ')), diff: diffOf(wanted, look) };
    }
  }
}

type FileThere = Extract<FileLook, { kind: 'file' }>;

function changesOf({ file, owner, group }: WantedFile, look: FileThere): string[] {
  const changes: string[] = [];
  const differs = (what: string, is: string, wanted: string | undefined): void => {
    if (wanted !== undefined && wanted !== is) changes.push(`${what} ${is} -> ${wanted}`);
  };
  if (look.sha256 !== file.sha256) changes.push(`content (${look.sizeBytes} -> ${file.sizeBytes} bytes)`);
  differs('mode', octal(look.mode), octal(file.mode));
  differs('owner', look.owner, owner);
  differs('group', look.group, group);
  return changes;
}

function octal(mode: string): string {
  return mode.replace(/^0+(?=.)/, '').padStart(4, '0');
}

/** Only of text, and only of what everybody on the target may read, before and after: anything else may be a secret of the target. */
function diffOf({ file, content }: WantedFile, look: FileThere | null): string | null {
  if (!isPublic(file.mode) || (look !== null && !isPublic(look.mode))) return null;
  const before = look === null ? Buffer.alloc(0) : look.content;
  if (before === null || content.length > MAX_DIFF_BYTES || !isText(before) || !isText(content)) return null;
  const texts = [before, content].map((bytes) => Buffer.from(bytes).toString('utf8')) as [string, string];
  const diff = unifiedDiff(...texts, MAX_DIFF_LINES);
  if (diff === null || diff.length <= MAX_DIFF_CHARACTERS) return diff;
  return `${diff.slice(0, MAX_DIFF_CHARACTERS)}\n...`;
}

function isPublic(mode: string): boolean {
  return (Number.parseInt(mode, 8) & 0o004) !== 0;
}

function isText(bytes: Uint8Array): boolean {
  return isUtf8(bytes) && !bytes.includes(0);
}
