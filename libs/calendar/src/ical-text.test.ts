import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { calendarText, type CalendarEvent } from './ical-text.js';

const event: CalendarEvent = {
  uid: 'a-20261123T013000Z@fettle',
  startMs: Date.UTC(2026, 10, 23, 1, 30),
  endMs: Date.UTC(2026, 10, 23, 2, 0),
  stampMs: Date.UTC(2026, 0, 1),
  sequence: 3,
  summary: 'nightly',
  description: '',
  status: 'CONFIRMED',
  categories: [],
};
const text = (more: Partial<CalendarEvent>): string =>
  calendarText({ name: 'n', description: 'd', refreshMinutes: 60, events: [{ ...event, ...more }] });

/** Reads a property as RFC 5545 says: lines unfolded (3.1), TEXT unescaped (3.3.11). */
function property(source: string, name: string): string | undefined {
  const lines = source.replace(/\r\n[ \t]/g, '').split('\r\n');
  const line = lines.slice(lines.indexOf('BEGIN:VEVENT')).find((one) => one.startsWith(`${name}:`));
  return line
    ?.slice(name.length + 1)
    .replace(/\\([\\;,nN])/g, (_whole, mark: string) => (/n/i.test(mark) ? '\n' : mark));
}

describe('iCalendar objects', () => {
  it('are written as RFC 5545 has them', () => {
    expect(text({}).split('\r\n').slice(11)).toEqual([
      'BEGIN:VEVENT',
      'UID:a-20261123T013000Z@fettle',
      'DTSTAMP:20260101T000000Z',
      'LAST-MODIFIED:20260101T000000Z',
      'SEQUENCE:3',
      'DTSTART:20261123T013000Z',
      'DTEND:20261123T020000Z',
      'SUMMARY:nightly',
      'STATUS:CONFIRMED',
      'TRANSP:TRANSPARENT',
      'END:VEVENT',
      'END:VCALENDAR',
      '',
    ]);
    expect(text({ endMs: event.startMs })).not.toContain('DTEND');
  });

  it('keep any text, in lines of at most 75 octets that break no character, and let no text become a line (property)', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.string({ maxLength: 200 }),
        (summary, description) => {
          const source = text({ summary, description: `${description}\r\nEND:VCALENDAR\nBEGIN:VEVENT;,\\` });
          expect(
            source.match(/END:VCALENDAR/g)!.length - source.match(/\\nEND:VCALENDAR|\\n\r\n END:VCALENDAR/g)!.length,
          ).toBeLessThanOrEqual(1);
          for (const line of source.split('\r\n')) {
            expect(new TextEncoder().encode(line).length).toBeLessThanOrEqual(75);
            expect(line.isWellFormed()).toBe(true);
            expect(line).not.toMatch(/[\r\n\0]/);
          }
          const plain = (value: string): string =>
            value.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
          expect(property(source, 'SUMMARY')).toBe(plain(summary));
          expect(property(source, 'DESCRIPTION')).toBe(`${plain(description)}\nEND:VCALENDAR\nBEGIN:VEVENT;,\\`);
        },
      ),
    );
  });
});
