import { readStderrEnds, type StepRow, type TargetRow, type Transaction } from '@fettle/database';

/** How much of a log's end is looked at for its last line. */
const READ_CHARACTERS = 1000;
const SHOWN_CHARACTERS = 200;

interface TargetSteps {
  readonly row: Pick<TargetRow, 'assetId' | 'state' | 'error'>;
  readonly steps: readonly StepRow[];
}

/** What the hosts wrote last to stderr in the attempts that their targets' errors are of, read from the log, by attempt. */
export async function readLastStderr(
  transaction: Transaction,
  runId: string,
  targets: readonly TargetSteps[],
): Promise<ReadonlyMap<StepRow, string>> {
  const failed = targets.flatMap(({ row, steps }) => {
    const step = failedAttempt(row, steps);
    return step === undefined ? [] : [{ assetId: row.assetId, step }];
  });
  const attempts = failed.map(({ assetId, step }) => ({
    runId: step.carriedFrom ?? runId,
    assetId,
    step: step.step,
    generation: step.attempt,
  }));
  const ends = await readStderrEnds(transaction, attempts, READ_CHARACTERS);
  const lines = new Map<StepRow, string>();
  for (const { assetId, step } of failed) {
    const line = lastLine(ends.get(assetId) ?? '');
    if (line !== null) lines.set(step, line);
  }
  return lines;
}

/** Attempts of a `finally` may come after it, and those of the rollback. */
function failedAttempt({ state, error }: TargetSteps['row'], steps: readonly StepRow[]): StepRow | undefined {
  if (state === 'succeeded' || state === 'skipped') return undefined;
  const failed = steps.filter((step) => step.error !== null && !step.step.endsWith('#undo'));
  const own = error === null ? undefined : failed.findLast((step) => step.error?.message === error.message);
  if (own !== undefined) return own;
  const last = failed.at(-1);
  const hasEnded = state !== 'pending' && state !== 'running';
  return hasEnded || last === steps.at(-1) ? last : undefined;
}

/** The last line with anything in it; null: none. Where something is cut off, an ellipsis stands for it. */
export function lastLine(text: string): string | null {
  const lines = text.split(/[\r\n]+/);
  const at = lines.findLastIndex((line) => line.trim() !== '');
  if (at < 0) return null;
  const line = (lines[at] ?? '').trim();
  const isBegun = at === 0 && [...text].length >= READ_CHARACTERS;
  const characters = [...(isBegun ? `…${line}` : line)];
  return characters.length <= SHOWN_CHARACTERS
    ? characters.join('')
    : `${characters.slice(0, SHOWN_CHARACTERS - 1).join('')}…`;
}
