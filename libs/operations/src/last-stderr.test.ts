import { describe, expect, it } from '@jest/globals';
import { lastLine } from './last-stderr.js';

describe('the last line of stderr', () => {
  it.each([
    ['', null],
    ['\n \r\n', null],
    ['one\ntwo\n', 'two'],
    ['one\r\n  two  \r\n\n', 'two'],
    ['10%\r20%\rfailed', 'failed'],
  ])('of %j is %j', (text, line) => {
    expect(lastLine(text)).toBe(line);
  });

  it('is bounded, and says where it was cut', () => {
    expect(lastLine(`x\n${'a'.repeat(200)}`)).toBe('a'.repeat(200));
    expect(lastLine(`x\n${'é😀'.repeat(150)}`)).toBe(`${'é😀'.repeat(99)}é…`);
    const whole = lastLine('b'.repeat(1000)) ?? '';
    expect([whole.slice(0, 2), whole.length, whole.at(-1)]).toEqual(['…b', 200, '…']);
  });
});
