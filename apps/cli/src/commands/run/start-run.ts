import { runSummarySchema, type StartRunRequest } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { calendarChoice, type CalendarOptions } from '../../session/options.js';
import type { Session } from '../../session/session.js';
import { tellDrift } from '../plan/tell-drift.js';
import { followToEnd } from './follow-to-end.js';
import { readRunRequest, type RequestOptions } from './run-request.js';
import { tellAccepted } from './tell-accepted.js';

interface StartOptions extends RequestOptions, CalendarOptions {
  readonly reason?: string;
  readonly idempotencyKey?: string;
  readonly planDigest?: string;
  readonly follow?: boolean;
  readonly waitApproval?: number;
}

export async function startRun(session: Session, runbook: string, options: StartOptions): Promise<number> {
  const client = session.connect(options);
  const body: StartRunRequest = {
    ...(await readRunRequest(session, client, runbook, options)),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
    ...calendarChoice(options),
    ...(options.planDigest === undefined ? {} : { planDigest: options.planDigest }),
  };
  const run = await tellDrift(session, () =>
    client.post('/api/v1/runs', runSummarySchema, { body, idempotencyKey: options.idempotencyKey ?? null }),
  );
  if (options.follow === true)
    return (
      await followToEnd(session, client, run, { format: options.output, waitApprovalSeconds: options.waitApproval })
    ).exitCode;
  tellAccepted(session.output, run, options.output, 'follow it with: fettle run follow');
  return EXIT.ok;
}
