import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { quoteArgument, quoteArgv } from './quote.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
const runs = process.env['FETTLE_LONG'] === '1' ? 1000 : 50;

/** Text with what shells treat specially far more often than chance would have it. */
const special = fc.constantFrom(
  "'",
  '"',
  '\\',
  '$',
  '`',
  '!',
  '\n',
  '\r',
  '\t',
  ' ',
  '*',
  '~',
  '-',
  '#',
  ';',
  '&',
  '\x01',
  '\x7f',
  'é',
  '😀',
);
const text = fc
  .array(fc.oneof(special, fc.string({ unit: 'grapheme', maxLength: 4 })), { maxLength: 12 })
  .map((parts) => parts.join('').replaceAll('\0', ''));

function throughShell(argv: readonly string[]): string[] {
  const line = `for argument in ${quoteArgv(argv)}; do printf '%s\\0' "$argument"; done`;
  const result = spawnSync('/bin/sh', ['-c', line], { encoding: 'buffer' });
  expect(result.stderr.toString()).toBe('');
  return result.stdout.toString('utf8').split('\0').slice(0, -1);
}

describe('quoteArgv', () => {
  it(`gives a real shell exactly the arguments back, ${runs} times (seed ${seed})`, () => {
    const lists = fc.sample(fc.array(text, { minLength: 1, maxLength: 40 }), { numRuns: runs, seed });
    for (const argv of lists) {
      // A lone surrogate is no text that UTF-8 can carry.
      const sent = argv.map((argument) => argument.toWellFormed());
      expect(throughShell(sent)).toEqual(sent);
    }
  }, 60_000);

  it('keeps every byte that an argument can have', () => {
    const all = Array.from({ length: 0x2fff }, (_, index) => String.fromCodePoint(index + 1)).join('');
    expect(throughShell([all, ...[...all].slice(0, 255)])).toEqual([all, ...[...all].slice(0, 255)]);
  });

  it('refuses NUL', () => {
    expect(() => quoteArgument('a\0b')).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });
});
