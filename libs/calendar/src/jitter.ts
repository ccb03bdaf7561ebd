import type { Jitter } from './recurrence.js';

/**
 * How much later an instant comes: whole seconds from 0 to `maxMs`, evenly spread, by a hash of seed and nominal instant (FNV-1a with
 * the final mix of MurmurHash3). It must never change: what was placed ahead of time was computed by it.
 */
export function jitterMs({ maxMs, seed }: Jitter, nominalAtMs: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${seed}\n${nominalAtMs / 1000}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  const seconds = Math.floor(Math.max(0, maxMs) / 1000);
  return (((hash ^ (hash >>> 16)) >>> 0) % (seconds + 1)) * 1000;
}
