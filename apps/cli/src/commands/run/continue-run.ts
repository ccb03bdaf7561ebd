import {
  runSummarySchema,
  type ResolveRunRequest,
  type ResumeRunRequest,
  type RetryRunRequest,
  type RunSummary,
  type TargetChoice,
} from '@fettle/contracts';
import { isRecord } from '@fettle/runbook';
import type { ApiClient } from '../../client/api-client.js';
import { askYes, canAsk } from '../../session/ask-yes.js';
import { ApiProblemError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import { calendarChoice, requireRunId, type CalendarOptions } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { followToEnd } from './follow-to-end.js';
import { tellAccepted } from './tell-accepted.js';

interface ContinueOptions extends ApiOptions, CalendarOptions {
  readonly targets: TargetChoice;
  readonly rerunUnknown?: boolean;
  readonly reason?: string;
  readonly idempotencyKey?: string;
  readonly follow?: boolean;
  readonly waitApproval?: number;
}

interface ResumeOptions extends ContinueOptions {
  readonly runbookVersion?: string;
  readonly acknowledge?: string;
  readonly yes?: boolean;
}

export async function retryRun(session: Session, idText: string, options: ContinueOptions): Promise<number> {
  const id = requireRunId(idText);
  const client = session.connect(options);
  return told(session, client, await send(client, `/api/v1/runs/${id}/retry`, requestOf(options), options), options);
}

export async function resumeRun(session: Session, idText: string, options: ResumeOptions): Promise<number> {
  const id = requireRunId(idText);
  const client = session.connect(options);
  const path = `/api/v1/runs/${id}/resume`;
  const { runbookVersion: version, acknowledge } = options;
  const body: ResumeRunRequest = {
    ...requestOf(options),
    ...(version === undefined ? {} : { version }),
    ...(acknowledge === undefined ? {} : { acknowledge }),
  };
  try {
    return await told(session, client, await send(client, path, body, options), options);
  } catch (error) {
    const changed = changedVersion(error);
    if (changed === null) throw error;
    for (const line of changed.lines) session.output.note(line);
    if (options.yes !== true && !(await isAcknowledged(session, id))) throw error;
    const acknowledged = { ...body, acknowledge: changed.digest };
    return told(session, client, await send(client, path, acknowledged, options), options);
  }
}

export async function resolveRun(
  session: Session,
  idText: string,
  options: ApiOptions & ResolveRunRequest,
): Promise<number> {
  const id = requireRunId(idText);
  const { target, step, as, reason } = options;
  const body: ResolveRunRequest = {
    as,
    reason,
    ...(target === undefined ? {} : { target }),
    ...(step === undefined ? {} : { step }),
  };
  const run = await session.connect(options).post(`/api/v1/runs/${id}/resolve`, runSummarySchema, { body });
  session.output.data(options.output, run, () => `${run.id}\n`);
  session.output.note(`Settled as ${as}; take the run up with: fettle run resume ${id}`);
  return EXIT.ok;
}

function requestOf(options: ContinueOptions): RetryRunRequest {
  const { targets, rerunUnknown, reason } = options;
  const choice = calendarChoice(options);
  return { targets, rerunUnknown: rerunUnknown ?? false, ...choice, ...(reason === undefined ? {} : { reason }) };
}

function send(client: ApiClient, path: string, body: object, { idempotencyKey }: ContinueOptions): Promise<RunSummary> {
  return client.post(path, runSummarySchema, { body, idempotencyKey: idempotencyKey ?? null });
}

async function told(session: Session, client: ApiClient, run: RunSummary, options: ContinueOptions): Promise<number> {
  if (options.follow === true) {
    const view = { format: options.output, waitApprovalSeconds: options.waitApproval };
    return (await followToEnd(session, client, run, view)).exitCode;
  }
  tellAccepted(session.output, run, options.output, 'follow it with: fettle run follow');
  return EXIT.ok;
}

function isAcknowledged({ host }: Session, id: string): Promise<boolean> | boolean {
  return canAsk(host) && askYes(host, `Take run ${id} up with what is different?`);
}

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** What the API says of versions that are not the run's own: their difference, and what remains known. */
function changedVersion(error: unknown): { readonly digest: string; readonly lines: readonly string[] } | null {
  if (!(error instanceof ApiProblemError) || error.code !== 'version-changed') return null;
  const { to, acknowledge = to, diff, changedDone, gone, called } = error.detail ?? {};
  const calls = Array.isArray(called) ? called.filter(isRecord) : [];
  return {
    digest: String(acknowledge),
    lines: [
      ...differenceLines({ diff, changedDone, gone }),
      ...calls.flatMap((one) => [
        `Runbook "${String(one['runbook'])}", which it calls: ${short(one['from'])} -> ${short(one['to'])}`,
        ...differenceLines(one),
      ]),
    ],
  };
}

function differenceLines({ diff, changedDone, gone }: Readonly<Record<string, unknown>>): string[] {
  return [
    ...texts(diff).map((line) => `  ${line}`),
    ...texts(changedDone).map((path) => `  "${path}" is done and stays as it was, although it reads otherwise now`),
    ...texts(gone).map((path) => `  "${path}" was done, and is not in this version`),
  ];
}

/** Of a digest, as many characters as `run show` has. */
const short = (digest: unknown): string => String(digest).slice(0, 19);
