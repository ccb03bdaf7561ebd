import { runSummarySchema, scheduleSchema } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { followToEnd } from '../run/follow-to-end.js';
import { tellAccepted } from '../run/tell-accepted.js';
import { schedulePath } from './schedule-path.js';

export async function pauseSchedule(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly reason: string },
): Promise<number> {
  return operate(session, name, 'pause', options, { reason: options.reason });
}

export async function resumeSchedule(session: Session, name: string, options: SpaceOptions): Promise<number> {
  return operate(session, name, 'resume', options, {});
}

async function operate(
  session: Session,
  name: string,
  verb: 'pause' | 'resume',
  options: SpaceOptions,
  body: Readonly<Record<string, string>>,
): Promise<number> {
  const client = session.connect(options);
  const request = { query: { space: options.space }, body };
  const schedule = await client.post(`${schedulePath(name)}/${verb}`, scheduleSchema, request);
  if (options.output === 'table')
    session.output.note(`Schedule ${name} is ${verb === 'pause' ? 'paused' : 'active again'}.`);
  else session.output.data(options.output, schedule, () => '');
  return EXIT.ok;
}

interface TriggerOptions extends SpaceOptions {
  readonly follow?: boolean;
  readonly waitApproval?: number;
  readonly idempotencyKey?: string;
}

export async function triggerSchedule(session: Session, name: string, options: TriggerOptions): Promise<number> {
  const client = session.connect(options);
  const run = await client.post(`${schedulePath(name)}/trigger`, runSummarySchema, {
    query: { space: options.space },
    idempotencyKey: options.idempotencyKey ?? null,
  });
  if (options.follow === true)
    return (
      await followToEnd(session, client, run, { format: options.output, waitApprovalSeconds: options.waitApproval })
    ).exitCode;
  tellAccepted(session.output, run, options.output, 'follow it with: fettle run follow');
  return EXIT.ok;
}
