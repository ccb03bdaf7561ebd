/** An event of an iCalendar object. */
export interface CalendarEvent {
  /** The same whenever the event is told. */
  readonly uid: string;
  readonly startMs: number;
  /** Null: it has no length. */
  readonly endMs: number | null;
  /** When what it says was written, and how often it was rewritten. */
  readonly stampMs: number;
  readonly sequence: number;
  readonly summary: string;
  readonly description: string;
  readonly status: 'CONFIRMED' | 'TENTATIVE' | 'CANCELLED';
  readonly categories: readonly string[];
}

export interface CalendarText {
  readonly name: string;
  readonly description: string;
  /** How often a program should look again. */
  readonly refreshMinutes: number;
  readonly events: readonly CalendarEvent[];
}

const MAX_LINE_BYTES = 75;

/**
 * An iCalendar object (RFC 5545, with NAME, DESCRIPTION and REFRESH-INTERVAL of RFC 7986 and the older names that programs know). Times
 * are UTC, so that no zone has to be described. Events take no time of whoever reads them (TRANSP).
 */
export function calendarText({ name, description, refreshMinutes, events }: CalendarText): string {
  const refresh = `PT${refreshMinutes}M`;
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Fettle//Schedules//EN',
    'CALSCALE:GREGORIAN',
    'METHOD:PUBLISH',
    `NAME:${escaped(name)}`,
    `X-WR-CALNAME:${escaped(name)}`,
    `DESCRIPTION:${escaped(description)}`,
    `X-WR-CALDESC:${escaped(description)}`,
    `REFRESH-INTERVAL;VALUE=DURATION:${refresh}`,
    `X-PUBLISHED-TTL:${refresh}`,
    ...events.flatMap(eventLines),
    'END:VCALENDAR',
  ];
  return lines.map((line) => `${folded(line)}\r\n`).join('');
}

function eventLines(event: CalendarEvent): string[] {
  const { uid, startMs, endMs, stampMs, sequence, summary, description, status, categories } = event;
  return [
    'BEGIN:VEVENT',
    `UID:${escaped(uid)}`,
    `DTSTAMP:${utc(stampMs)}`,
    `LAST-MODIFIED:${utc(stampMs)}`,
    `SEQUENCE:${sequence}`,
    `DTSTART:${utc(startMs)}`,
    // DTEND is later than DTSTART (3.8.2.2), and times have whole seconds.
    ...(endMs === null || endMs < startMs + 1000 ? [] : [`DTEND:${utc(endMs)}`]),
    `SUMMARY:${escaped(summary)}`,
    ...(description === '' ? [] : [`DESCRIPTION:${escaped(description)}`]),
    `STATUS:${status}`,
    'TRANSP:TRANSPARENT',
    ...(categories.length === 0 ? [] : [`CATEGORIES:${categories.map(escaped).join(',')}`]),
    'END:VEVENT',
  ];
}

/** Form 2 of DATE-TIME (3.3.5). */
function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/** TEXT (3.3.11): no control characters but the tab; a line end is written `\n`. */
function escaped(text: string): string {
  return text
    .replace(/\\/g, '\\\\')
    .replace(/;/g, '\\;')
    .replace(/,/g, '\\,')
    .replace(/\r\n|\r|\n/g, '\\n')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}

/** At most 75 octets a line, continued by a blank, and never within a character (3.1). */
function folded(line: string): string {
  let folded = '';
  let bytes = 0;
  for (const character of line) {
    const size = bytesOf(character.codePointAt(0) ?? 0);
    if (bytes + size > MAX_LINE_BYTES) {
      folded += '\r\n ';
      bytes = 1;
    }
    folded += character;
    bytes += size;
  }
  return folded;
}

/** Octets of a character in UTF-8. */
function bytesOf(codePoint: number): number {
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x10000 ? 3 : 4;
}
