import { DEFAULT_SPACE, durationMs, durationSchema, idSchema, nameSchema } from '@fettle/contracts';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { FettleError } from '@fettle/contracts';
import { outputFormats } from '../output/output.js';

/** Options that every command over the API has. */
export function withApi(command: Command): Command {
  return command
    .addOption(outputOption())
    .addOption(new Option('--data-dir <dir>', 'talk to the local stack of this data directory'));
}

export function withSpace(command: Command): Command {
  return withApi(command).addOption(
    new Option('--space <name>', 'space that the names belong to').default(DEFAULT_SPACE).argParser(parseName),
  );
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print').choices(outputFormats).default('table');
}

export const MAX_LIMIT = 1_000_000;

export function limitOption(what: string, byDefault?: number): Option {
  const option = new Option('--limit <n>', what).argParser(parseCount);
  return byDefault === undefined ? option : option.default(byDefault);
}

/** Reads a whole number within limits; anything else is wrong usage, before anything is sent. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

export const parseCount = wholeNumber(1, MAX_LIMIT);
/** A port that something can be reached at. */
export const parsePort = wholeNumber(1, 65_535);
/** A port to listen on; 0 lets the machine choose. */
export const parseOwnPort = wholeNumber(0, 65_535);

/** Seconds of a duration such as `90`, `30s`, `5m`, `2h`. */
export function parseDurationSeconds(text: string): number {
  const parsed = durationSchema.safeParse(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text);
  const seconds = parsed.success ? durationMs(parsed.data) / 1000 : 0;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('It must be a number of seconds above 0, or text such as 30s, 5m, 2h, 1d.');
}

/** For commands that follow a run. */
export function waitApprovalOption(): Option {
  return new Option(
    '--wait-approval <duration>',
    'with --follow: wait so long for an approval, each time, before exit 8; default: not at all',
  ).argParser(parseDurationSeconds);
}

export function parseName(text: string): string {
  if (nameSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError(
    'A name has 1 to 63 lower-case letters, digits and "-", and starts and ends with a letter or digit.',
  );
}

/** ISO 8601 time, or how long ago such as `2h`. */
export function parseTime(text: string): string {
  const duration = durationSchema.safeParse(text);
  const atMs = duration.success ? Date.now() - durationMs(duration.data) : Date.parse(text);
  if (!Number.isNaN(atMs)) return new Date(atMs).toISOString();
  throw new InvalidArgumentError('It must be a time such as 2026-11-22T08:00:00Z, or how long ago such as 2h or 7d.');
}

export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** A run is named by its whole id. What cannot be one is not found, without asking. */
export function requireRunId(text: string): string {
  const id = text.toLowerCase();
  if (idSchema.safeParse(id).success) return id;
  throw new FettleError({
    code: 'not-found',
    message: `There is no run "${text.slice(0, 80)}": a run is named by its id.`,
    remedy: 'See `fettle run list`.',
  });
}

/** How whoever starts a run goes by calendars. */
export interface CalendarOptions {
  readonly waitForWindow?: boolean;
  readonly overrideCalendar?: string;
}

export function withCalendars(command: Command): Command {
  return command
    .option('--wait-for-window', 'where its calendars are closed: begin at the next opening, instead of being refused')
    .option('--override-calendar <reason>', 'begin outside of its calendars all the same; needs the right to it');
}

export function calendarChoice({ waitForWindow, overrideCalendar }: CalendarOptions): CalendarChoice {
  return {
    ...(waitForWindow === true ? { whenClosed: 'wait' as const } : {}),
    ...(overrideCalendar === undefined ? {} : { overrideCalendar }),
  };
}

interface CalendarChoice {
  readonly whenClosed?: 'wait';
  readonly overrideCalendar?: string;
}
