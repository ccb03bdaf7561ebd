import { appendFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/**
 * Says what a test measured: on standard error and, with the test's file before a tab, in the file that FETTLE_FIGURES_OUT
 * names. `npm run test:long` writes test/LONG-RESULTS.md from it.
 */
export function figure(line: string): void {
  process.stderr.write(`${line}\n`);
  const { FETTLE_FIGURES_OUT: path } = process.env;
  if (path) appendFileSync(path, `${expect.getState().testPath ?? ''}\t${line}\n`);
}

/** The seed of this file's random choices: FETTLE_SEED, or another each time; said, so that a failure can be played again. */
export function testSeed(): number {
  const seed = Number(process.env.FETTLE_SEED ?? Date.now() % 2 ** 31);
  figure(`seed ${seed}: repeat with FETTLE_SEED=${seed}`);
  return seed;
}
