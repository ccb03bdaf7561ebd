import type { RunSummary } from '@fettle/contracts';
import type { Output, OutputFormat } from '../../output/output.js';
import { plural } from '../../output/text.js';
import { warnUndetermined } from '../../output/undetermined.js';

/** That a run was accepted and is not followed here: its id on stdout, and on stderr how to see more of it. */
export function tellAccepted(output: Output, run: RunSummary, format: OutputFormat, how: string): void {
  output.data(format, run, () => `${run.id}\n`);
  const targets = run.targetCount === 0 ? 'without targets' : plural(run.targetCount, 'target');
  output.note(`Accepted, ${targets}; ${how} ${run.id}`);
  warnUndetermined(output, run.undeterminedCount);
}
