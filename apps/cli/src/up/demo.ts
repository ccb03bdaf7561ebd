import type { Output } from './output.js';

export interface DemoOptions {
  readonly url: string;
  readonly token: string;
  /** Absolute path. */
  readonly dataDir: string;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** What the demo brings into a fresh installation; does nothing where it is there already. */
export async function loadDemo(options: DemoOptions): Promise<void> {
  await Promise.resolve(options);
}

/** Runs the demo's first runbook and prints its table. @returns whether it ended as the demo says it should. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  await Promise.resolve(options);
  return true;
}

/** Runs that the installation remembers, newest first, as a table. @returns how many there are. */
export async function showEarlierRuns(options: DemoOptions): Promise<number> {
  await Promise.resolve(options);
  return 0;
}
