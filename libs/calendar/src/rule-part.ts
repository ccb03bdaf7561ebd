import { FettleError } from '@fettle/contracts';
import { DAY_MS } from './days.js';
import type { RuleWeekday } from './rule.js';

/** The one error of recurrence rules; `column` counts from 1 in the whole text. */
export function invalidRule(message: string, column: number, text: string, suggestion?: string): FettleError {
  return new FettleError({
    code: 'invalid-schedule',
    message: `recurrence rule, column ${column}: ${message}`,
    remedy:
      suggestion ?? 'Mend the rule; "FREQ=MONTHLY;BYDAY=2TU;BYHOUR=2" means 02:00 on the second Tuesday of each month.',
    position: { line: 1, column },
    detail: { text: text.slice(0, 120) },
  });
}

/** A piece of the text with the column (from 1) at which it starts. */
export interface RuleText {
  readonly text: string;
  readonly column: number;
}

const MAX_NUMBERS = 400;

/** A list of whole numbers between `min` and `max`; with `negative` also their negatives; ascending, none twice. */
export function numbersOf(
  name: string,
  given: RuleText,
  [min, max]: readonly [number, number],
  negative = false,
): number[] {
  const items = given.text.split(',');
  if (items.length > MAX_NUMBERS)
    throw invalidRule(`${name} lists more than ${MAX_NUMBERS} values`, given.column, name);
  let { column } = given;
  const found = items.map((item) => {
    const value = /^[+-]?[0-9]{1,4}$/.test(item) ? Number(item) : Number.NaN;
    const isInside = value >= min && value <= max;
    if (!isInside && !(negative && -value >= Math.max(min, 1) && -value <= max)) {
      const range = negative ? `${min} and ${max} or -${max} and -${min}` : `${min} and ${max}`;
      throw invalidRule(`${name}: "${item.slice(0, 20)}" is not between ${range}`, column, item);
    }
    column += item.length + 1;
    return value;
  });
  return [...new Set(found)].sort((a, b) => a - b);
}

const WEEKDAYS = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'] as const;

export function weekdayOf(given: RuleText): number {
  const found = WEEKDAYS.indexOf(given.text as (typeof WEEKDAYS)[number]);
  if (found < 0)
    throw invalidRule(
      `"${given.text.slice(0, 20)}" is no weekday`,
      given.column,
      given.text,
      `weekdays are ${WEEKDAYS.join(', ')}`,
    );
  return found;
}

/** BYDAY: `MO`, `2TU`, `-1FR`. */
export function weekdaysOf(given: RuleText): RuleWeekday[] {
  let { column } = given;
  const items = given.text.split(',');
  if (items.length > MAX_NUMBERS) throw invalidRule(`BYDAY lists more than ${MAX_NUMBERS} values`, column, 'BYDAY');
  return items.map((item) => {
    const match = /^([+-]?[0-9]{1,2})?([A-Z]*)$/.exec(item);
    const day = weekdayOf({ text: match?.[2] ?? item, column });
    const nth = match?.[1] === undefined ? null : Number(match[1]);
    if (nth !== null && (nth === 0 || Math.abs(nth) > 53))
      throw invalidRule(`BYDAY: "${item}" counts to no weekday`, column, item);
    column += item.length + 1;
    return { day, nth };
  });
}

export interface RuleTime {
  /** Milliseconds as if the clock were UTC. */
  readonly localMs: number;
  readonly isUtc: boolean;
  /** A date without a time. */
  readonly isDate: boolean;
}

const TIME = /^(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})(Z)?)?$/;

/** `20260329`, `20260329T023000`, `20260329T013000Z`. */
export function ruleTimeOf(name: string, { text, column }: RuleText): RuleTime {
  const match = TIME.exec(text);
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map((index) => Number(match?.[index] ?? 0));
  const localMs = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second);
  const isReal =
    match !== null &&
    new Date(localMs).toISOString().replace(/[-:]/g, '').slice(0, 15) ===
      (match[4] === undefined ? `${text}T000000` : text.slice(0, 15));
  if (!isReal || (year ?? 0) < 1900 || (year ?? 0) > 2299) {
    throw invalidRule(
      `${name}: "${text.slice(0, 40)}" is no time between 1900 and 2299`,
      column,
      text,
      'write it as 20260329T023000 (wall clock of the zone), 20260329T013000Z (UTC) or 20260329',
    );
  }
  return { localMs, isUtc: match[7] !== undefined, isDate: match[4] === undefined };
}

export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS);
