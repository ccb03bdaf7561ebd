import { DAY_MS } from './days.js';
import {
  dayOf,
  invalidRule,
  numbersOf,
  ruleTimeOf,
  weekdayOf,
  weekdaysOf,
  type RuleText,
  type RuleTime,
} from './rule-part.js';
import { MAX_RULE_COUNT, ruleTimes } from './rule-times.js';
import type { RuleFrequency, RuleSchedule } from './rule.js';
import { zoneOf } from './zone.js';

const MAX_RULE_CHARS = 4000;
const MAX_LISTED_TIMES = 1000;
const FREQUENCIES = ['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY', 'MINUTELY', 'SECONDLY'] as const;
const PARTS = ['FREQ', 'INTERVAL', 'COUNT', 'UNTIL', 'WKST', 'BYMONTH', 'BYWEEKNO', 'BYYEARDAY', 'BYMONTHDAY'];
PARTS.push('BYDAY', 'BYHOUR', 'BYMINUTE', 'BYSECOND', 'BYSETPOS');

/** What the text says besides its rule. */
interface Lines {
  readonly rule: RuleText;
  readonly start: { readonly time: RuleTime; readonly column: number } | null;
  readonly extra: readonly RuleTime[];
  readonly except: readonly RuleTime[];
}

/**
 * Parses a recurrence rule of RFC 5545: `FREQ=WEEKLY;BYDAY=MO`, with or without `RRULE:` before it, and lines `DTSTART`, `EXDATE`
 * and `RDATE` beside it. Times are read by the wall clock of `timeZone`. Without DTSTART the rule counts from `startMs`, by default
 * 1970-01-01 00:00, and what INTERVAL, COUNT and missing BY parts say is counted from there.
 * @throws FettleError `invalid-schedule` with the column of what is wrong, also for rules that never come.
 */
export function parseRule(text: string, timeZone: string, startMs: number | null = null): RuleSchedule {
  if (text.length > MAX_RULE_CHARS)
    throw invalidRule(
      `the rule has ${text.length} characters; at most ${MAX_RULE_CHARS} are read`,
      MAX_RULE_CHARS + 1,
      '',
    );
  const lines = linesOf(text, timeZone);
  const parts = partsOf(lines.rule);
  const localOf = (time: RuleTime): number =>
    time.isUtc ? time.localMs + zoneOf(timeZone).offsetAt(time.localMs) : time.localMs;
  const start = lines.start ? localOf(lines.start.time) : (startMs ?? 0);
  if (parts.has('COUNT') && !lines.start && startMs === null)
    throw invalidRule(
      'COUNT needs a first occurrence to count from',
      columnOf(parts, 'COUNT'),
      'COUNT',
      'add a line DTSTART:20260101T020000',
    );
  const rule: RuleSchedule = {
    source: text.trim(),
    ...frequencyOf(parts, start),
    ...untilOf(parts),
    ...byParts(parts, start),
    extraTimesMs: [
      ...new Set(
        lines.extra.map((time) =>
          time.isDate ? time.localMs + (((start % DAY_MS) + DAY_MS) % DAY_MS) : localOf(time),
        ),
      ),
    ].sort((a, b) => a - b),
    exceptTimesMs: lines.except.filter(({ isDate }) => !isDate).map(localOf),
    exceptDays: lines.except.filter(({ isDate }) => isDate).map(({ localMs }) => dayOf(localMs)),
    followsElapsedTime: false,
  };
  checkCombination(rule, parts);
  const isByClock = rule.frequency === 'HOURLY' || rule.frequency === 'MINUTELY' || rule.frequency === 'SECONDLY';
  const whole = { ...rule, followsElapsedTime: isByClock && rule.hours === null };
  if (ruleTimes(whole).nextDay(dayOf(start) - 1) === null)
    throw invalidRule('no day before 2300 is found that it names', lines.rule.column, lines.rule.text);
  return whole;
}

function linesOf(text: string, timeZone: string): Lines {
  let rule: RuleText | null = null;
  let start: Lines['start'] = null;
  const [extra, except]: [RuleTime[], RuleTime[]] = [[], []];
  for (const match of text.matchAll(/[^\r\n]+/g)) {
    const trimmed = match[0].trim();
    if (trimmed === '') continue;
    const column = match.index + 1 + match[0].indexOf(trimmed);
    const line = /^(DTSTART|RRULE|EXDATE|RDATE|EXRULE)(;[^:]*)?:(.*)$/i.exec(trimmed);
    const name = line?.[1]?.toUpperCase() ?? 'RRULE';
    const value = {
      text: (line?.[3] ?? trimmed).toUpperCase(),
      column: column + (line ? trimmed.length - (line[3] ?? '').length : 0),
    };
    if (name === 'EXRULE')
      throw invalidRule(
        'EXRULE is no part of RFC 5545 any more',
        column,
        name,
        'give the days to leave out as exclusions of the schedule',
      );
    if (name === 'RRULE') {
      if (rule)
        throw invalidRule('there are two rules', column, trimmed, 'make two schedules, or name all days in one rule');
      rule = value;
      continue;
    }
    checkParameters({ text: line?.[2] ?? '', column }, timeZone);
    if (name === 'DTSTART') {
      if (start) throw invalidRule('DTSTART is given twice', column, trimmed);
      start = { time: ruleTimeOf(name, value), column };
    } else (name === 'RDATE' ? extra : except).push(...timesOf(name, value));
  }
  if (!rule) throw invalidRule('there is no rule', 1, text);
  return { rule, start, extra, except };
}

function timesOf(name: string, given: RuleText): RuleTime[] {
  let { column } = given;
  const items = given.text.split(',');
  if (items.length > MAX_LISTED_TIMES)
    throw invalidRule(`${name} lists more than ${MAX_LISTED_TIMES} times`, column, name);
  return items.map((text) => {
    const time = ruleTimeOf(name, { text, column });
    column += text.length + 1;
    return time;
  });
}

/** `;TZID=Europe/Berlin;VALUE=DATE`: another zone than the schedule's would make two clocks of one. */
function checkParameters({ text, column }: RuleText, timeZone: string): void {
  for (const parameter of text.split(';').filter((one) => one !== '')) {
    const [name = '', value = ''] = parameter.split('=');
    if (/^VALUE$/i.test(name) && /^(DATE|DATE-TIME)$/i.test(value)) continue;
    if (!/^TZID$/i.test(name)) throw invalidRule(`"${parameter.slice(0, 40)}" is not understood`, column, parameter);
    if (value !== timeZone)
      throw invalidRule(
        `TZID=${value.slice(0, 64)} is not the schedule's zone ${timeZone}`,
        column,
        parameter,
        'name one zone only',
      );
  }
}

type Parts = ReadonlyMap<string, RuleText>;

function partsOf(rule: RuleText): Parts {
  const parts = new Map<string, RuleText>();
  let { column } = rule;
  for (const piece of rule.text.split(';')) {
    const equals = piece.indexOf('=');
    const name = piece.slice(0, Math.max(equals, 0));
    if (piece === '' && parts.size > 0 && column === rule.column + rule.text.length) continue;
    if (!PARTS.includes(name))
      throw invalidRule(`"${piece.slice(0, 40)}" is no part of a rule`, column, piece, `parts are ${PARTS.join(', ')}`);
    if (parts.has(name)) throw invalidRule(`${name} is given twice`, column, piece);
    parts.set(name, { text: piece.slice(equals + 1), column: column + equals + 1 });
    column += piece.length + 1;
  }
  return parts;
}

function columnOf(parts: Parts, name: string): number {
  return parts.get(name)?.column ?? 1;
}

function frequencyOf(parts: Parts, startMs: number) {
  const given = parts.get('FREQ');
  const frequency = FREQUENCIES.find((one) => one === given?.text);
  if (!given || !frequency)
    throw invalidRule(
      given ? `"${given.text.slice(0, 20)}" is no frequency` : 'FREQ is missing',
      given?.column ?? 1,
      given?.text ?? '',
      `frequencies are ${FREQUENCIES.join(', ')}`,
    );
  const number = (name: string, max: number): number | null => {
    const part = parts.get(name);
    if (!part) return null;
    const value = /^[0-9]{1,9}$/.test(part.text) ? Number(part.text) : 0;
    if (value < 1 || value > max)
      throw invalidRule(`${name} must be a number from 1 to ${max}`, part.column, part.text);
    return value;
  };
  const weekStart = parts.get('WKST');
  return {
    frequency,
    interval: number('INTERVAL', 100_000_000) ?? 1,
    count: number('COUNT', MAX_RULE_COUNT),
    startMs,
    weekStart: weekStart ? weekdayOf(weekStart) : 1,
  };
}

function untilOf(parts: Parts): Pick<RuleSchedule, 'untilMs' | 'untilAtMs'> {
  const given = parts.get('UNTIL');
  if (!given) return { untilMs: null, untilAtMs: null };
  const until = ruleTimeOf('UNTIL', given);
  if (until.isUtc) return { untilMs: null, untilAtMs: until.localMs };
  return { untilMs: until.isDate ? until.localMs + DAY_MS - 1000 : until.localMs, untilAtMs: null };
}

/** BY parts, and what the start says where they are missing (RFC 5545 3.3.10, last paragraphs). */
function byParts(parts: Parts, startMs: number) {
  const list = (name: string, range: readonly [number, number], negative = false): number[] | null => {
    const part = parts.get(name);
    return part ? numbersOf(name, part, range, negative) : null;
  };
  const byDay = parts.get('BYDAY');
  const frequency = parts.get('FREQ')?.text as RuleFrequency;
  const rank = FREQUENCIES.indexOf(frequency);
  const start = new Date(startMs);
  const given = {
    months: list('BYMONTH', [1, 12]),
    weekNumbers: list('BYWEEKNO', [1, 53], true),
    daysOfYear: list('BYYEARDAY', [1, 366], true),
    daysOfMonth: list('BYMONTHDAY', [1, 31], true),
    weekdays: byDay ? weekdaysOf(byDay) : null,
    positions: list('BYSETPOS', [1, 366], true),
  };
  const hasDay = [given.weekNumbers, given.daysOfYear, given.daysOfMonth, given.weekdays].some((one) => one !== null);
  const isYearly = frequency === 'YEARLY';
  return {
    ...given,
    months: given.months ?? (isYearly && !hasDay ? [start.getUTCMonth() + 1] : null),
    daysOfMonth: given.daysOfMonth ?? (!hasDay && (isYearly || frequency === 'MONTHLY') ? [start.getUTCDate()] : null),
    weekdays: given.weekdays ?? (!hasDay && frequency === 'WEEKLY' ? [{ day: start.getUTCDay(), nth: null }] : null),
    hours: list('BYHOUR', [0, 23]) ?? (rank <= 3 ? [start.getUTCHours()] : null),
    minutes: list('BYMINUTE', [0, 59]) ?? (rank <= 4 ? [start.getUTCMinutes()] : null),
    seconds: list('BYSECOND', [0, 59]) ?? (rank <= 5 ? [start.getUTCSeconds()] : null),
  };
}

/** What RFC 5545 forbids, or what would be read one way here and another elsewhere. */
function checkCombination(rule: RuleSchedule, parts: Parts): void {
  const refuse = (name: string, message: string): never => {
    throw invalidRule(message, columnOf(parts, name), parts.get(name)?.text ?? '');
  };
  const { frequency } = rule;
  if (parts.has('COUNT') && parts.has('UNTIL')) refuse('COUNT', 'COUNT and UNTIL exclude each other');
  if (parts.has('BYWEEKNO') && frequency !== 'YEARLY') refuse('BYWEEKNO', 'BYWEEKNO needs FREQ=YEARLY');
  if (parts.has('BYYEARDAY') && ['MONTHLY', 'WEEKLY', 'DAILY'].includes(frequency))
    refuse('BYYEARDAY', `BYYEARDAY does not go with FREQ=${frequency}`);
  if (parts.has('BYMONTHDAY') && frequency === 'WEEKLY')
    refuse('BYMONTHDAY', 'BYMONTHDAY does not go with FREQ=WEEKLY');
  const isCounted = rule.weekdays?.some(({ nth }) => nth !== null) ?? false;
  if (isCounted && ((frequency !== 'YEARLY' && frequency !== 'MONTHLY') || parts.has('BYWEEKNO')))
    refuse('BYDAY', 'counted weekdays such as 2TU need FREQ=MONTHLY, or FREQ=YEARLY without BYWEEKNO');
  if (parts.has('BYSETPOS') && ![...parts.keys()].some((name) => name.startsWith('BY') && name !== 'BYSETPOS'))
    refuse('BYSETPOS', 'BYSETPOS picks from what other BY parts name, and there is none');
}
