import { z } from 'zod';

/** Nothing here waits longer than a year; it also keeps every moment that is computed of it a date. */
export const MAX_DURATION_MS = 365 * 86_400_000;

/** `90`, `"90s"`, `"5m"`, `"2h"`, `"1d"`: a bare number counts seconds. From a millisecond to `maxMs`, which `maxText` spells out. */
function durationUpTo(maxMs: number, maxText: string) {
  return z
    .union([
      z.number().positive(),
      z
        .string()
        .regex(/^\d+(ms|s|m|h|d)$/, { message: 'must be a number of seconds or text such as "30s", "5m", "2h", "1d"' }),
    ])
    .refine((duration) => (readDuration(duration) ?? 1) >= 1, { message: 'must be at least 1 millisecond' })
    .refine((duration) => (readDuration(duration) ?? 0) <= maxMs, { message: `must be at most ${maxText}` });
}

export const durationSchema = durationUpTo(MAX_DURATION_MS, '365 days');
export type Duration = z.infer<typeof durationSchema>;

/** A wait between attempts: a target that waits longer than a day belongs into the next run. */
export const backoffSchema = durationUpTo(86_400_000, '24 hours');

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds; null where the text is no duration. */
function readDuration(duration: number | string): number | null {
  if (typeof duration === 'number') return Math.round(duration * 1000);
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(duration);
  return match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : null;
}

/** Milliseconds of a duration that `durationSchema` accepted. */
export function durationMs(duration: Duration): number {
  const durationMs = readDuration(duration);
  if (durationMs === null) throw new RangeError(`not a duration: ${duration}`);
  return durationMs;
}
