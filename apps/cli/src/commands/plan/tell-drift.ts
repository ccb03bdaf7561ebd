import { planDifferenceSchema, type PlanDifference } from '@fettle/contracts';
import { z } from 'zod';
import type { Colours } from '../../output/colours.js';
import { oneLine } from '../../output/text.js';
import { ApiProblemError } from '../../session/errors.js';
import type { Session } from '../../session/session.js';

/** Passes the answer on; where it is a drift from a plan, what differs is told first. */
export async function tellDrift<Result>(session: Session, ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiProblemError && error.code === 'plan-drift') {
      const differences = z.array(planDifferenceSchema).safeParse(error.detail?.differences);
      if (differences.success)
        session.host.stderr.write(differencesText(differences.data, session.output.errorColours));
    }
    throw error;
  }
}

/** A line for what was planned and one for what would be done now, for each difference. */
export function differencesText(differences: readonly PlanDifference[], colours: Colours): string {
  return differences.map((difference) => differenceText(difference, colours)).join('');
}

function differenceText(
  { kind, subject, before, after, targets, targetCount = 0 }: PlanDifference,
  colours: Colours,
): string {
  const names = targets ?? [];
  const more = targetCount > names.length ? `, and ${targetCount - names.length} more` : '';
  const on = names.length === 0 ? '' : ` (${names.join(', ')}${more})`;
  const title = kind === 'target' ? 'targets' : `${kind} ${subject}`;
  const lines = [
    `${colours.bold(oneLine(title))}${oneLine(on)}`,
    ...(before === null ? [] : [`  ${colours.red('-')} ${oneLine(before)}`]),
    ...(after === null ? [] : [`  ${colours.green('+')} ${oneLine(after)}`]),
  ];
  return `${lines.join('\n')}\n`;
}
