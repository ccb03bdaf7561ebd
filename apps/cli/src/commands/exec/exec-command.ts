import { runSummarySchema, type Effect, type ExecRequest } from '@fettle/contracts';
import { EXIT } from '../../session/exit-codes.js';
import { calendarChoice, type CalendarOptions } from '../../session/options.js';
import type { Session, SpaceOptions } from '../../session/session.js';
import { followToEnd } from '../run/follow-to-end.js';
import { tellAccepted } from '../run/tell-accepted.js';

interface ExecOptions extends SpaceOptions, CalendarOptions {
  readonly on: string;
  readonly become?: boolean;
  readonly effect?: Effect;
  /** Seconds. */
  readonly timeout?: number;
  readonly maxConcurrency?: number;
  readonly allowEmpty?: boolean;
  readonly reason?: string;
  readonly idempotencyKey?: string;
  readonly follow?: boolean;
}

/** Follows where a person watches; a program that wants to wait says `--follow`. */
export async function execCommand(session: Session, argv: readonly string[], options: ExecOptions): Promise<number> {
  const client = session.connect(options);
  const body: ExecRequest = {
    space: options.space,
    on: options.on,
    argv: [...argv],
    become: options.become ?? false,
    allowEmpty: options.allowEmpty ?? false,
    ...calendarChoice(options),
    ...(options.effect === undefined ? {} : { effect: options.effect }),
    ...(options.timeout === undefined ? {} : { timeoutSeconds: options.timeout }),
    ...(options.maxConcurrency === undefined ? {} : { maxConcurrency: options.maxConcurrency }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  const run = await client.post('/api/v1/exec', runSummarySchema, {
    body,
    idempotencyKey: options.idempotencyKey ?? null,
  });
  const follows = options.follow ?? (session.output.isTerminal && options.output === 'table');
  if (follows) {
    const view = { format: options.output, logs: true, onlyBad: true };
    return (await followToEnd(session, client, run, view)).exitCode;
  }
  tellAccepted(session.output, run, options.output, 'see: fettle run logs --follow');
  return EXIT.ok;
}
