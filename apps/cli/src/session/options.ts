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

export function parseCount(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= MAX_LIMIT) return value;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_LIMIT}.`);
}

export function parsePort(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 65_535) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 65535.');
}

/** Seconds of a duration such as `90`, `30s`, `5m`, `2h`. */
export function parseDurationSeconds(text: string): number {
  const parsed = durationSchema.safeParse(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text);
  if (parsed.success) return durationMs(parsed.data) / 1000;
  throw new InvalidArgumentError('It must be a number of seconds or text such as 30s, 5m, 2h, 1d.');
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
