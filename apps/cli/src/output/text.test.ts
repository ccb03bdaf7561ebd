import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { coloursFor } from './colours.js';
import { renderTable } from './table.js';
import { age, displayWidth, duration, neutralise, oneLine, truncate, wrap } from './text.js';

const plain = coloursFor({ write: () => true }, {});

describe('text for a terminal', () => {
  it('leaves nothing that a terminal obeys', () => {
    expect(neutralise('\u001b[31mred\u0007 \u009b2J\r\u202eabc\n\tx')).toBe(
      '\\x1b[31mred\\x07 \\x9b2J\\x0d\\u202eabc\n\tx',
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(neutralise(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
        expect(oneLine(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it('measures and cuts by columns', () => {
    expect(displayWidth('abc')).toBe(3);
    expect(displayWidth('日本')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    expect(truncate('abcdef', 4)).toBe('abc…');
    expect(truncate('日本語', 4)).toBe('日…');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        expect(displayWidth(truncate(oneLine(text), width))).toBeLessThanOrEqual(width);
      }),
    );
  });

  it('says durations and ages', () => {
    expect([850, 4200, 200_000, 7_500_000, 273_600_000].map(duration)).toEqual([
      '850 ms',
      '4.2 s',
      '3 min 20 s',
      '2 h 5 min',
      '3 d 4 h',
    ]);
    expect(age('2026-01-01T00:00:00Z', new Date('2026-01-01T00:00:04.200Z'))).toBe('4 s ago');
    const now = new Date('2026-01-10T12:00:00Z');
    expect(['2026-01-10T11:58:20Z', '2026-01-09T12:00:00Z', '2026-01-01T12:00:00Z'].map((at) => age(at, now))).toEqual([
      '1 min ago',
      '24 h ago',
      '9 days ago',
    ]);
    expect(age(null, now)).toBe('');
  });
});

describe('wrapping', () => {
  it.each([
    ['one two three', 13, 2, ['one two three']],
    ['one two three', 7, 2, ['one two', 'three']],
    ['one two  three four', 8, 2, ['one two', 'three f…']],
    ['unbroken and more', 4, 3, ['unbr', 'oken', 'and…']],
    ['日本日本', 5, 2, ['日本', '日本']],
    ['', 5, 2, ['']],
  ])('of %j to %d columns and %d lines', (text, maxWidth, maxLines, lines) => {
    expect(wrap(text, maxWidth, maxLines)).toEqual(lines);
  });
});

describe('tables', () => {
  const columns = [
    { title: 'NAME', value: (row: { name: string; n: number | null }) => row.name },
    { title: 'N', value: (row: { name: string; n: number | null }) => row.n, align: 'right' as const },
    { title: 'MORE', value: () => 'a long text that does not fit' },
  ];
  const rows = [
    { name: '日本', n: 7 },
    { name: 'x\n\u001b[2J', n: null },
  ];

  it('line up, whatever the cells hold', () => {
    expect(renderTable(rows, columns, { colours: plain })).toBe(
      [
        'NAME        N  MORE',
        '日本        7  a long text that does not fit',
        'x\\n\\x1b[2J     a long text that does not fit',
        '',
      ].join('\n'),
    );
  });

  it('cut the last column to the width of the terminal', () => {
    const text = renderTable(rows, columns, { colours: plain, maxWidth: 30 });
    for (const line of text.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(30);
    expect(text).toContain('…');
  });

  it('let the last column go on below, where it says so', () => {
    const below = columns.map((column) => (column.title === 'MORE' ? { ...column, maxLines: 3 } : column));
    expect(renderTable(rows, below, { colours: plain, maxWidth: 31 })).toBe(
      [
        'NAME        N  MORE',
        '日本        7  a long text that',
        '               does not fit',
        'x\\n\\x1b[2J     a long text that',
        '               does not fit',
        '',
      ].join('\n'),
    );
    expect(renderTable(rows, below, { colours: plain })).toContain('a long text that does not fit\n');
  });
});
