import { planSchema, type Plan } from '@fettle/contracts';
import { FettleError } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { UsageError } from '../../session/errors.js';
import type { Session } from '../../session/session.js';
import { readRunRequest, type RequestOptions } from '../run/run-request.js';
import { notRenderedText } from './not-rendered.js';
import { checkPlan, checkText, requireEnded, type CheckedPlan } from './plan-check.js';
import { planFile } from './plan-file.js';
import { onlyHost, planText } from './plan-text.js';

export interface PlanOptions extends RequestOptions {
  readonly host?: string;
  readonly full?: boolean;
  readonly check?: boolean;
  readonly file?: readonly string[];
  readonly target?: readonly string[];
}

/** Planning reads and renders much. */
const TIMEOUT_MS = 300_000;

export async function planRun(session: Session, runbook: string | undefined, options: PlanOptions): Promise<number> {
  const checked = options.check === true ? await checkedPlan(session, runbook, options) : null;
  const plan = checked?.plan ?? (await makePlan(session, runbook, options));
  const shown = options.host === undefined ? plan : onlyHost(plan, options.host);
  if (shown === null) {
    throw new FettleError({
      code: 'not-found',
      message: `"${options.host ?? ''}" is none of the plan's ${plan.targets.count} targets.`,
      remedy: 'See them with: fettle plan NAME -o json',
    });
  }
  const { output } = session;
  const view = { full: options.full ?? false, host: options.host };
  const found = checked === null ? null : onlyOn(checked, options.host);
  const value = found === null ? shown : { ...shown, check: { ...found.check, results: found.results } };
  const checkedText = found === null ? '' : `\n${checkText(found, output, view.full)}`;
  output.data(options.output, value, () => `${planText(shown, output, view)}${checkedText}`);
  if (found !== null) requireEnded(found);
  const notRendered = notRenderedText(shown);
  if (notRendered !== null) output.warn(notRendered);
  if (options.output === 'table' && options.file === undefined)
    output.note(
      `nothing was started; to do exactly this: fettle run start ${plan.runbook.name} ... --plan-digest ${plan.digest}`,
    );
  return notRendered === null ? EXIT.ok : EXIT.notRendered;
}

async function checkedPlan(session: Session, runbook: string | undefined, options: PlanOptions): Promise<CheckedPlan> {
  if (options.file !== undefined) throw new UsageError('--check asks hosts, which -f has none of');
  if (runbook === undefined) throw new UsageError('name a runbook');
  return checkPlan(session, runbook, options);
}

/** Of one target, and of what the run does once. */
function onlyOn(checked: CheckedPlan, host: string | undefined): CheckedPlan {
  if (host === undefined) return checked;
  return { ...checked, results: checked.results.filter(({ asset }) => asset === null || asset === host) };
}

async function makePlan(session: Session, runbook: string | undefined, options: PlanOptions): Promise<Plan> {
  if (options.file !== undefined) return planFile(session, runbook, options.file, options);
  if (options.target !== undefined) throw new UsageError('--target goes with -f: a server knows the targets itself');
  if (runbook === undefined) throw new UsageError('name a runbook, or give documents with -f FILE');
  const client = session.connect(options);
  const body = await readRunRequest(session, client, runbook, options);
  return client.request('POST', '/api/v1/plans', planSchema, { body, timeoutMs: TIMEOUT_MS });
}
