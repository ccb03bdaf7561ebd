import { durationMs, durationSchema, scheduleSchema, triggerResultSchema } from '@fettle/contracts';
import { UsageError } from '../../session/errors.js';
import { EXIT } from '../../session/exit-codes.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { followToEnd } from '../run/follow-to-end.js';
import { tellAccepted } from '../run/tell-accepted.js';
import { schedulePath } from './schedule-path.js';

export async function pauseSchedule(
  session: Session,
  name: string,
  options: SpaceOptions & { readonly reason: string; readonly until?: string },
): Promise<number> {
  const until = options.until === undefined ? {} : { until: endOf(options.until, session.host.now()) };
  return operate(session, name, 'pause', options, { reason: options.reason, ...until });
}

/** A time, or how long from now. */
function endOf(text: string, now: Date): string {
  const duration = durationSchema.safeParse(text);
  const atMs = duration.success ? now.getTime() + durationMs(duration.data) : Date.parse(text);
  if (!Number.isNaN(atMs)) return new Date(atMs).toISOString();
  throw new UsageError(`--until: "${text}" is no time such as 2026-11-22T08:00:00Z, nor a duration such as 2h or 7d.`);
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
  readonly override?: string;
  readonly waitApproval?: number;
  readonly idempotencyKey?: string;
}

export async function triggerSchedule(session: Session, name: string, options: TriggerOptions): Promise<number> {
  const client = session.connect(options);
  const { override } = options;
  const result = await client.post(`${schedulePath(name)}/trigger`, triggerResultSchema, {
    query: { space: options.space },
    body: override === undefined ? {} : { override: { reason: override } },
    idempotencyKey: options.idempotencyKey ?? null,
  });
  if ('waiting' in result) {
    const { waiting } = result;
    if (options.output === 'table') session.output.note(`Schedule ${name} is ${waiting.outcome}: ${waiting.reason}.`);
    else session.output.data(options.output, result, () => '');
    return EXIT.ok;
  }
  if (options.follow === true)
    return (
      await followToEnd(session, client, result, { format: options.output, waitApprovalSeconds: options.waitApproval })
    ).exitCode;
  tellAccepted(session.output, result, options.output, 'follow it with: fettle run follow');
  return EXIT.ok;
}
