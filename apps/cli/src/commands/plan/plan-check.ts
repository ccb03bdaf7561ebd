import { setTimeout as sleep } from 'node:timers/promises';
import {
  checkResults,
  FettleError,
  planCheckResultSchema,
  planCheckSchema,
  planSchema,
  type Plan,
  type PlanCheck,
  type PlanCheckResult,
} from '@fettle/contracts';
import { z } from 'zod';
import type { ApiClient } from '../../client/api-client.js';
import type { Output } from '../../output/output.js';
import { oneLine, plural } from '../../output/text.js';
import type { Session } from '../../session/session.js';
import { readRunRequest, type RequestOptions } from '../run/run-request.js';

const requestedSchema = z.object({ plan: planSchema, check: planCheckSchema });
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1500;
const PLAN_TIMEOUT_MS = 300_000;
/** Names that a line shows of the targets that share it. */
const MAX_NAMED = 6;

export interface CheckedPlan {
  readonly plan: Plan;
  readonly check: PlanCheck;
  readonly results: readonly PlanCheckResult[];
}

/** Has a plan made and checked, and waits for the end of the check. */
export async function checkPlan(session: Session, runbook: string, options: RequestOptions): Promise<CheckedPlan> {
  const client = session.connect(options);
  const body = await readRunRequest(session, client, runbook, options);
  const requested = await client.request('POST', '/api/v1/plan-checks', requestedSchema, {
    body,
    timeoutMs: PLAN_TIMEOUT_MS,
  });
  const { space } = options;
  const path = `/api/v1/plan-checks/${requested.check.id}`;
  const check = await ended(session, client, path, space);
  const results: PlanCheckResult[] = [];
  for await (const page of client.pages(`${path}/results`, planCheckResultSchema, { space }))
    results.push(...page.items);
  return { plan: requested.plan, check, results };
}

/** Follows a check to its end; the API bounds how long that may take. */
async function ended({ output }: Session, client: ApiClient, path: string, space: string): Promise<PlanCheck> {
  let told = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.3, LONGEST_PAUSE_MS)) {
    const check = await client.get(path, planCheckSchema, { space });
    if (check.state === 'ended' || check.state === 'failed') return check;
    const done = checkResults.reduce((sum, result) => sum + check.counts[result], 0);
    if (check.total !== null && done > told && output.isTerminal) {
      output.note(`checked ${done} of ${check.total}`);
      told = done;
    }
    await sleep(pauseMs, undefined, { signal: client.signal });
  }
}

/** Throws what ended a check before it had come to its end. */
export function requireEnded({ check }: CheckedPlan): void {
  if (check.error !== null) throw new FettleError(check.error);
}

/** What was found, for a person: those that share all of it in one line, and what need not change as a number. */
export function checkText({ check, results }: CheckedPlan, output: Output, full: boolean): string {
  const { colours } = output;
  const shown = groups(results.filter(({ result }) => full || result !== 'no-change'));
  const lines = shown.flatMap((group) => {
    const { path, result, summary, diff } = group[0]!;
    const names = group.map(({ asset }) => asset).filter((asset) => asset !== null);
    const more = full ? 0 : Math.max(0, names.length - MAX_NAMED);
    const where =
      names.length === 0
        ? ''
        : `  ${names.slice(0, names.length - more).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
    const word =
      result === 'would-change' ? colours.yellow(result) : result === 'unreachable' ? colours.red(result) : result;
    const about = [`${colours.bold(oneLine(path))}  ${word}${where}`, `    ${oneLine(summary)}`];
    return [...about, ...(diff ?? '').split('\n').flatMap((line) => (line === '' ? [] : [`      ${oneLine(line)}`]))];
  });
  const counts = checkResults.map((result) => `${check.counts[result]} ${result}`).join(', ');
  const of = plural(results.length, 'step on a target', 'steps on targets');
  return `${[...lines, ...(lines.length === 0 ? [] : [''])].join('\n')}${output.fields([['check', `${counts} (of ${of})`]])}`;
}

function groups(results: readonly PlanCheckResult[]): readonly PlanCheckResult[][] {
  const found = new Map<string, PlanCheckResult[]>();
  for (const result of results) {
    const { asset: _asset, ...rest } = result;
    const key = JSON.stringify(rest);
    found.set(key, [...(found.get(key) ?? []), result]);
  }
  return [...found.values()];
}
