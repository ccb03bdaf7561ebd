import { z } from 'zod';

const unitBytes = { KiB: 1024, MiB: 1_048_576 } as const;
const sizePattern = /^(\d{1,6})(KiB|MiB)$/;

/** Bytes of a size that `sizeSchema` accepted; NaN for any other text. */
export function sizeBytes(size: string): number {
  const [, count, unit] = sizePattern.exec(size) ?? [];
  return Number(count) * (unitBytes[unit as keyof typeof unitBytes] ?? Number.NaN);
}

/** `"64KiB"`, `"2MiB"`, from `min` to `max`. */
export function sizeSchema(min: string, max: string) {
  return z
    .string()
    .regex(sizePattern, { message: 'must be text such as "64KiB" or "2MiB"' })
    .refine(
      (size) => !sizePattern.test(size) || (sizeBytes(size) >= sizeBytes(min) && sizeBytes(size) <= sizeBytes(max)),
      {
        message: `must be from ${min} to ${max}`,
      },
    );
}

/** As people read it: `1 MiB`, `64 KiB`. */
export function sizeText(bytes: number): string {
  const unit = bytes % unitBytes.MiB === 0 ? 'MiB' : 'KiB';
  return `${bytes / unitBytes[unit]} ${unit}`;
}
