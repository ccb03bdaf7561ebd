import { describe, expect, it } from '@jest/globals';
import { calendarSpecSchema } from '@fettle/contracts';
import { importIcal, type IcalOptions, type ImportedIcal } from './calendar-ical.js';
import { gateOf, gateStretches, readCalendar } from './window-calendar.js';

const berlin = { as: 'windows', timeZone: 'Europe/Berlin' } as const;

function ical(...events: readonly string[]): string {
  return ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', ...events, 'END:VCALENDAR', ''].join('\r\n');
}

function event(...lines: readonly string[]): string {
  return ['BEGIN:VEVENT', 'UID:one', 'DTSTAMP:20260101T000000Z', ...lines, 'END:VEVENT'].join('\r\n');
}

/** When a calendar with what was imported is open (windows) or closed (the rest), as UTC. */
function stretches(imported: ImportedIcal, from: string, to: string): string[] {
  const { windows, freezes, holidays } = imported;
  const own = {
    ...(windows.length === 0 ? {} : { windows }),
    ...(freezes.length === 0 ? {} : { freezes }),
    ...(holidays.length === 0 ? {} : { holidays }),
  };
  const spec = calendarSpecSchema.parse({ timeZone: 'Europe/Berlin', ...own });
  const gate = gateOf([readCalendar('c', spec, null)]);
  const short = (ms: number): string => new Date(ms).toISOString().slice(0, 16);
  return gateStretches(gate, Date.parse(from), Date.parse(to), 100)
    .filter(({ state }) => state.isOpen === windows.length > 0)
    .map(({ fromMs, toMs }) => `${short(fromMs)} ${short(toMs)}`);
}

const whole = (imported: ImportedIcal): string[] =>
  imported.events.map(({ became, notes }) => [became, ...notes].join(': '));

describe('an iCalendar file', () => {
  it('takes EXDATE and RECURRENCE-ID out of an event that has times but no rule', () => {
    const series = (...lines: readonly string[]): string =>
      event('SUMMARY:Patch', 'DTSTART:20260601T220000Z', 'DURATION:PT1H', ...lines);
    const taken = importIcal(
      ical(series('RDATE:20260602T220000Z,20260603T220000Z,20260601T220000Z', 'EXDATE:20260602T220000Z')),
      berlin,
    );
    expect(stretches(taken, '2026-06-01', '2026-06-05')).toEqual([
      '2026-06-01T22:00 2026-06-01T23:00',
      '2026-06-03T22:00 2026-06-03T23:00',
    ]);
    expect(taken.windows).toHaveLength(2);
    // By the clock of a zone: the same moment; and one that stands for a time of the series is in its place, though it begins then.
    const replaced = importIcal(
      ical(
        series('RDATE:20260602T220000Z'),
        event('RECURRENCE-ID;TZID=Europe/Berlin:20260603T000000', 'DTSTART:20260602T220000Z', 'DURATION:PT3H'),
      ),
      berlin,
    );
    expect(stretches(replaced, '2026-06-01', '2026-06-05')).toEqual([
      '2026-06-01T22:00 2026-06-01T23:00',
      '2026-06-02T22:00 2026-06-03T01:00',
    ]);
    const days = importIcal(
      ical(event('DTSTART;VALUE=DATE:20260601', 'RDATE;VALUE=DATE:20260602,20260603', 'EXDATE;VALUE=DATE:20260602')),
      { ...berlin, as: 'holidays' },
    );
    expect(days.holidays.map((one) => 'date' in one && one.date)).toEqual(['2026-06-01', '2026-06-03']);
    expect(whole(importIcal(ical(series('EXDATE:20260601T220000Z')), berlin))).toEqual([
      'not imported: EXDATE and RECURRENCE-ID take out all of its times',
    ]);
  });

  it('gives windows with rules, exceptions and zones, also over a change of clocks', () => {
    const text = ical(
      event(
        'SUMMARY:Patch night\\, all hosts',
        'DTSTART;TZID=Europe/Berlin:20261014T220000',
        'DTEND;TZID=Europe/Berlin:20261015T020000',
        'RRULE:FREQ=WEEKLY;BYDAY=WE;COUNT=4',
        'EXDATE;TZID=Europe/Berlin:20261021T220000',
      ),
    );
    const imported = importIcal(text, { ...berlin, cutoff: '30m' });
    expect(imported.windows).toEqual([
      {
        name: 'Patch night, all hosts',
        rrule: 'DTSTART:20261014T220000\nRRULE:FREQ=WEEKLY;BYDAY=WE;COUNT=4\nEXDATE:20261021T220000',
        duration: '4h',
        cutoff: '30m',
      },
    ]);
    expect(stretches(imported, '2026-10-01', '2026-12-01')).toEqual([
      '2026-10-14T20:00 2026-10-14T23:30',
      '2026-10-28T21:00 2026-10-29T00:30',
      '2026-11-04T21:00 2026-11-05T00:30',
    ]);
  });

  it('reads UTC, another zone, and times of nobody in particular', () => {
    const text = ical(
      event('DTSTART:20260601T100000Z', 'DTEND:20260601T110000Z'),
      event('DTSTART;TZID=America/New_York:20260602T100000', 'DURATION:PT1H'),
      event('DTSTART:20260603T100000', 'DURATION:PT1H30M'),
    );
    expect(stretches(importIcal(text, berlin), '2026-06-01', '2026-06-05')).toEqual([
      '2026-06-01T10:00 2026-06-01T11:00',
      '2026-06-02T14:00 2026-06-02T15:00',
      '2026-06-03T08:00 2026-06-03T09:30',
    ]);
  });

  it('moves one time of a series where another event says so, and leaves out a cancelled one', () => {
    const series = event('DTSTART;TZID=Europe/Berlin:20260601T220000', 'DURATION:PT2H', 'RRULE:FREQ=DAILY;COUNT=3');
    const moved = event(
      'RECURRENCE-ID;TZID=Europe/Berlin:20260602T220000',
      'DTSTART;TZID=Europe/Berlin:20260602T120000',
      'DURATION:PT1H',
    );
    const cancelled = event('RECURRENCE-ID:20260603T200000Z', 'DTSTART:20260603T200000Z', 'STATUS:CANCELLED');
    const imported = importIcal(ical(series, moved, cancelled), berlin);
    expect(whole(imported)).toEqual(['window', 'window', 'left out: it was cancelled']);
    expect(stretches(imported, '2026-06-01', '2026-06-05')).toEqual([
      '2026-06-01T20:00 2026-06-01T22:00',
      '2026-06-02T10:00 2026-06-02T11:00',
    ]);
  });

  it('makes whole days holidays or freezes, of one day, of several, and each year', () => {
    const text = ical(
      event('SUMMARY:Christmas', 'DTSTART;VALUE=DATE:20251225', 'DTEND;VALUE=DATE:20251227', 'RRULE:FREQ=YEARLY'),
      event('SUMMARY:Once', 'DTSTART;VALUE=DATE:20261020', 'TRANSP:TRANSPARENT'),
      event('SUMMARY:Change of clocks', 'DTSTART;VALUE=DATE:20261024', 'DTEND;VALUE=DATE:20261026'),
    );
    const expected = [
      '2026-10-19T22:00 2026-10-20T22:00',
      '2026-10-23T22:00 2026-10-25T23:00',
      '2026-12-24T23:00 2026-12-26T23:00',
    ];
    const holidays = importIcal(text, { ...berlin, as: 'holidays' });
    expect(holidays.holidays).toHaveLength(3);
    expect(whole(holidays)[1]).toContain('TRANSP:TRANSPARENT');
    expect(stretches(holidays, '2026-10-01', '2027-01-01')).toEqual(expected);
    const freezes = importIcal(text, { ...berlin, as: 'freezes' });
    expect(freezes.freezes).toHaveLength(3);
    expect(stretches(freezes, '2026-10-01', '2027-01-01')).toEqual(expected);
  });

  it('unfolds lines, and knows zones by what the file or the caller says of them', () => {
    const zone = [
      'BEGIN:VTIMEZONE',
      'TZID:My zone',
      'X-LIC-LOCATION:America/New_York',
      'BEGIN:STANDARD',
      'DTSTART:19700101T000000',
      'TZOFFSETFROM:-0500',
      'TZOFFSETTO:-0500',
      'END:STANDARD',
      'END:VTIMEZONE',
    ].join('\r\n');
    const text = ical(
      zone,
      event('SUMMARY:A long', '  name', 'DTSTART;TZID=My zone:20260602T100000', 'DURATION:PT1H'),
      event('DTSTART;TZID="W. Europe Standard Time":20260603T100000', 'DURATION:PT1H'),
      event('DTSTART;TZID=/example.org/Europe/Paris:20260604T100000', 'DURATION:PT1H'),
    );
    const zones = { 'W. Europe Standard Time': 'Europe/Berlin' };
    const imported = importIcal(text, { ...berlin, zones });
    expect(imported.windows[0]?.name).toBe('A long name');
    expect(stretches(imported, '2026-06-01', '2026-06-06')).toEqual([
      '2026-06-02T14:00 2026-06-02T15:00',
      '2026-06-03T08:00 2026-06-03T09:00',
      '2026-06-04T08:00 2026-06-04T09:00',
    ]);
    expect(whole(importIcal(text, berlin))[1]).toMatch(/not imported: .*W\. Europe Standard Time.*--zone-of/);
  });

  it('drops nothing in silence', () => {
    const text = ical(
      event('SUMMARY:No length', 'DTSTART:20260601T100000Z'),
      event('SUMMARY:No start', 'DURATION:PT1H'),
      event('SUMMARY:Backwards', 'DTSTART:20260601T100000Z', 'DTEND:20260601T090000Z'),
      event('SUMMARY:Two rules', 'DTSTART:20260601T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY', 'RRULE:FREQ=WEEKLY'),
      event('SUMMARY:Periods', 'DTSTART:20260601T100000Z', 'DURATION:PT1H', 'RDATE;VALUE=PERIOD:20260602T100000Z/PT1H'),
      event('SUMMARY:Bad rule', 'DTSTART:20260601T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=SOMETIMES'),
      event('SUMMARY:Bad day', 'DTSTART;VALUE=DATE:20260231'),
      event('RECURRENCE-ID;RANGE=THISANDFUTURE:20260601T100000Z', 'DTSTART:20260601T100000Z', 'DURATION:PT1H'),
      'BEGIN:VTODO\r\nSUMMARY:A task\r\nEND:VTODO',
    );
    const imported = importIcal(text, berlin);
    expect(imported.windows).toEqual([]);
    expect(imported.events).toHaveLength(9);
    for (const { became, notes } of imported.events) {
      expect(became).toBe('not imported');
      expect(notes.join()).not.toBe('');
    }
    const timed = importIcal(ical(event('DTSTART:20260601T100000Z', 'DURATION:PT1H')), { ...berlin, as: 'holidays' });
    expect(whole(timed)).toEqual([expect.stringContaining('--as freezes')]);
  });

  it('that is none is refused with the line of what is wrong', () => {
    const wrong = (text: string, options: IcalOptions = berlin): string => {
      try {
        importIcal(text, options);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(wrong('')).toContain('no BEGIN:VCALENDAR');
    expect(wrong('hello')).toContain('line 1');
    expect(wrong('BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR')).toContain('line 3');
    expect(wrong('BEGIN:VCALENDAR\nBEGIN:VEVENT')).toContain('is never ended');
    expect(wrong('BEGIN:X\n'.repeat(50))).toContain('nested');
    expect(wrong(ical(), { ...berlin, timeZone: 'Berlin' })).toContain('time zone');
    expect(wrong(`BEGIN:VCALENDAR\nX${';A=B'.repeat(20_000)}\n`)).toContain('line 2');
    expect(wrong(ical(event(`SUMMARY:${'a'.repeat(500_000)}`)))).toBe('');
  });
});
