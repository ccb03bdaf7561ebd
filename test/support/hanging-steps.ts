import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Simulation } from '@fettle/runbook/source';
import { HANGS, type GeneratedRunbook } from './generated-runbooks.js';

/** Targets on which the step hangs at which a generated runbook is cancelled, as its simulation has it; 0: it is not come to. */
export function hangingIn({ entries }: Simulation, { cancelOn }: GeneratedRunbook): number {
  if (cancelOn === null) return 0;
  const isOfStep = (path: string | null): boolean => path?.slice(path.lastIndexOf('/') + 1) === cancelOn;
  const ended = entries.filter(
    ({ kind, step, data }) => kind === 'step-ended' && isOfStep(step) && data['state'] === 'cancelled',
  );
  return ended.length;
}

/** Who was quicker, an attempt that was skipped or the cancel, is not known. */
export function isOrdered({ isSequential, cancelOn }: GeneratedRunbook): boolean {
  return isSequential && cancelOn === null;
}

/** Resolves when so many attempts of the run hang; throws after a minute. */
export async function untilHanging(folder: string, runId: string, count: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const names = await readdir(folder);
    if (names.filter((name) => name.startsWith(`${HANGS}${runId}.`)).length >= count) return;
    if (tries > 1200) throw new Error(`run ${runId} never came to hang on ${count} targets`);
    await sleep(50);
  }
}
