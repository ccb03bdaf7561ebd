import { describe, expect, it } from '@jest/globals';
import { FettleError } from '@fettle/contracts';
import fc from 'fast-check';
import { parseCron } from './cron.js';

function refusal(expression: string): {
  code: string;
  column: number | undefined;
  message: string;
  remedy: string | undefined;
} {
  try {
    parseCron(expression);
  } catch (error) {
    if (error instanceof FettleError) {
      return { code: error.code, column: error.position?.column, message: error.message, remedy: error.remedy };
    }
    throw error;
  }
  throw new Error(`"${expression}" was accepted`);
}

describe('parseCron', () => {
  it('reads five fields, six with seconds, lists, ranges, steps and names', () => {
    expect(parseCron(' 0,30  8-10/2 */10\t jan,MAR-May  mon-fri ')).toEqual({
      source: '0,30 8-10/2 */10 jan,MAR-May mon-fri',
      seconds: [0],
      minutes: [0, 30],
      hours: [8, 10],
      daysOfMonth: [1, 11, 21, 31],
      months: [1, 3, 4, 5],
      daysOfWeek: [1, 2, 3, 4, 5],
      followsElapsedTime: false,
    });
    expect(parseCron('*/20 5 1 ? * *')).toMatchObject({
      seconds: [0, 20, 40],
      minutes: [5],
      hours: [1],
      daysOfMonth: null,
    });
    expect(parseCron('10/25 * * * *')).toMatchObject({ minutes: [10, 35], followsElapsedTime: true });
    expect(parseCron('0 */6 * * *').followsElapsedTime).toBe(true);
  });

  it('takes 0 and 7 as Sunday, also as the end of a week', () => {
    for (const day of ['0', '7', 'SUN', '0,7', '7-7']) expect(parseCron(`0 0 * * ${day}`).daysOfWeek).toEqual([0]);
    expect(parseCron('0 0 * * FRI-SUN').daysOfWeek).toEqual([0, 5, 6]);
    expect(parseCron('0 0 * * 5-7').daysOfWeek).toEqual([0, 5, 6]);
  });

  it('knows the macros', () => {
    expect(parseCron('@daily')).toEqual({ ...parseCron('0 0 * * *'), source: '@daily' });
    expect(parseCron('@Weekly').daysOfWeek).toEqual([0]);
    expect(refusal('@reboot').message).toContain('has no time');
    expect(refusal('@every 5m').code).toBe('invalid-schedule');
    expect(refusal('@fortnightly').remedy).toContain('@weekly');
    expect(refusal('@daily x').column).toBe(8);
  });

  it('points at what is wrong', () => {
    const columns: Readonly<Record<string, number>> = {
      '': 1,
      '60 * * * *': 1,
      '* 24 * * *': 3,
      '* * 0 * *': 5,
      '* * * 13 *': 7,
      '* * * * 8': 9,
      '* * * foo *': 7,
      '1,2,61 * * * *': 5,
      '* 5-30 * * *': 5,
      '* 5-3 * * *': 3,
      '*/0 * * * *': 1,
      '*/60 * * * *': 1,
      '1,,2 * * * *': 3,
      '-1 * * * *': 1,
      '? * * * *': 1,
      '* * *': 5,
      '* * * * * * *': 13,
      'TZ=UTC * * * * *': 1,
      '0 0 30 2 *': 5,
      '0 0 31 4,6,9,11 *': 5,
    };
    for (const [expression, column] of Object.entries(columns)) {
      expect([expression, refusal(expression)]).toEqual([
        expression,
        expect.objectContaining({ code: 'invalid-schedule', column }),
      ]);
    }
  });

  it('suggests what may have been meant', () => {
    expect(refusal('0 0 * * Monday').remedy).toBe('write MON');
    expect(refusal('0 22-2 * * *').remedy).toBe('write two ranges: "22-23,0-2"');
    expect(refusal('0 0 * * L').remedy).toContain('5L');
    expect(refusal('0 0 32W * *').column).toBe(5);
    expect(refusal('0 0 * * MON#6').remedy).toContain('#1 to #5');
    expect(refusal('0 0 L-31 * *').column).toBe(5);
    expect(refusal('H * * * *').remedy).toContain('jitter');
  });

  it('accepts a rare day where a day of the week can stand for it', () => {
    expect(parseCron('0 0 30 2 1').daysOfMonth).toEqual([30]);
    expect(parseCron('0 0 29 2 *').daysOfMonth).toEqual([29]);
  });

  it('answers 500 hostile texts with a schedule or the one error', () => {
    const piece = fc.constantFrom(
      '*',
      '/',
      '-',
      ',',
      '#',
      'L',
      'W',
      '?',
      ' ',
      '0',
      '7',
      '59',
      '999999999',
      'MON',
      '@',
      '\u0000',
      '😀',
      '__proto__',
      '\n',
    );
    const hostile = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.array(piece, { maxLength: 80 }).map((pieces) => pieces.join('')),
      fc.constantFrom(
        '*,'.repeat(99),
        '1-2/3,'.repeat(33),
        `${'9'.repeat(190)} * * * *`,
        `*${'/1'.repeat(90)} * * * *`,
      ),
    );
    const outcomes = { parsed: 0, refused: 0 };
    fc.assert(
      fc.property(hostile, (text) => {
        try {
          expect(parseCron(text).months.length).toBeGreaterThan(0);
          outcomes.parsed += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(FettleError);
          expect((error as FettleError).code).toBe('invalid-schedule');
          outcomes.refused += 1;
        }
      }),
      { numRuns: 500, seed: 5, verbose: 1 },
    );
    expect(outcomes.refused).toBeGreaterThan(400);
  });
});
