import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { unifiedDiff } from './unified-diff.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`unified-diff.test.ts: FETTLE_SEED=${seed}\n`);

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `line ${index + 1}`);
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

/** Applies a whole diff to a text as patch(1) would. */
function patched(before: string, diff: string): string {
  const old = before.split('\n').slice(0, -1);
  const out: string[] = [];
  let at = 0;
  for (const line of diff.split('\n')) {
    const hunk = /^@@ -(\d+),(\d+) /.exec(line);
    if (hunk) {
      const start = Number(hunk[1]) - (hunk[2] === '0' ? 0 : 1);
      out.push(...old.slice(at, start));
      at = start;
    } else if (line.startsWith('+')) out.push(line.slice(1));
    else {
      expect(line.slice(1)).toBe(old[at]);
      at += 1;
      if (line.startsWith(' ')) out.push(line.slice(1));
    }
  }
  return textOf([...out, ...old.slice(at)]);
}

describe('unified diff', () => {
  it('shows changed lines with three around them', () => {
    const lines = numbered(20);
    const changed = lines.with(9, 'other').toSpliced(19, 0, 'new');
    expect(unifiedDiff(textOf(lines), textOf(changed), 100)).toBe(
      [
        '@@ -7,7 +7,7 @@',
        ...[' line 7', ' line 8', ' line 9', '-line 10', '+other', ' line 11', ' line 12', ' line 13'],
        '@@ -17,4 +17,5 @@',
        ...[' line 17', ' line 18', ' line 19', '+new', ' line 20'],
      ].join('\n'),
    );
  });

  it('shows a new file, a missing newline, and nothing for equal texts', () => {
    expect(unifiedDiff('', 'a\nb\n', 10)).toBe('@@ -0,0 +1,2 @@\n+a\n+b');
    expect(unifiedDiff('a\n', 'a', 10)).toBe('@@ -1,1 +1,1 @@\n-a\n+a (no newline at the end)');
    expect(unifiedDiff('a\n', 'a\n', 10)).toBeNull();
  });

  it('stops at its limit, and does not compare what differs everywhere', () => {
    const diff = unifiedDiff('', textOf(numbered(50)), 10);
    expect(diff?.split('\n')).toHaveLength(11);
    expect(diff).toMatch(/\.\.\. 41 more lines$/);
    expect(unifiedDiff(textOf(numbered(2000)), textOf(numbered(2000).map((line) => `${line}!`)), 10)).toBeNull();
  });

  it('makes the one text of the other', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 14 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = unifiedDiff(textOf(before), textOf(after), 1000);
        expect(diff === null ? textOf(before) : patched(textOf(before), diff)).toBe(textOf(after));
      }),
      { seed, numRuns: 2000 },
    );
  });
});
