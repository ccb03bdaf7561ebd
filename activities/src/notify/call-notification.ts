import { FettleError } from '@fettle/contracts';
import type { NotificationEnd } from '@fettle/database';
import { findAction } from '../actions.js';
import { testedSets } from '../patch/ledger.js';
import { storedError } from '../run/judge-error.js';
import { Secrets } from '../run/secrets.js';
import type { WorkerServices } from '../run/services.js';

/** Waits between attempts; after the last one the notification is given up, about a day after it was due. */
const delaysMs = [5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600].map((seconds) => seconds * 1000);
/** For one attempt; the lease of a notification is longer. */
export const DELIVERY_TIMEOUT_MS = 30_000;

export interface NotificationCall {
  readonly space: string;
  readonly uses: string;
  /** Where the document says it, for errors: `spec.notify[0]`. */
  readonly place: string;
  /** What the action is given. @throws what makes the attempt fail */
  readonly input: () => unknown;
  /** The same for every attempt, so that the receiver knows a repeat. */
  readonly token: string;
  /** Credentials that are masked whether the action opens them or not. */
  readonly declared: () => Promise<readonly string[]>;
  /** This one included. */
  readonly attempts: number;
}

/** Makes one attempt to tell somebody. Never rejects for what the receiver does. */
export async function callNotification(
  services: WorkerServices,
  { space, uses, place, input, token, declared, attempts }: NotificationCall,
  signal: AbortSignal,
): Promise<NotificationEnd> {
  const secrets = new Secrets(services, space).forAttempt();
  try {
    const action = findAction(uses);
    if (!action || action.scope !== 'control') {
      throw new FettleError({ code: 'unknown-action', message: `This worker has no action "${uses}".` });
    }
    await secrets.declare(await declared());
    const parsed = action.contract.input.safeParse(input());
    if (!parsed.success) {
      const { path = [], message = 'invalid' } = parsed.error.issues[0] ?? {};
      throw new FettleError({ code: 'invalid-input', message: `${place}.with.${path.join('.')}: ${message}` });
    }
    const ended = await action.execute(parsed.data, {
      token,
      stepToken: token,
      timeoutMs: Math.min(DELIVERY_TIMEOUT_MS, action.contract.maxTimeoutMs),
      signal,
      secret: (name, kinds = ['token']) => secrets.value(name, kinds),
      redactor: () => secrets.redactions.redactor(),
      testedSets: testedSets(services, space),
      countAssets: null,
    });
    const { state, error } = secrets.maskedEnd(ended);
    if (state === 'succeeded') return { kind: 'sent' };
    return againOrNot(attempts, error ?? { code: 'internal-error', message: 'The action failed without saying why.' });
  } catch (error) {
    return againOrNot(attempts, storedError(error, secrets.mask));
  }
}

/** A receiver that says so wants no more of it. */
function againOrNot(
  attempts: number,
  error: { code: string; message: string; remedy?: string | undefined },
): NotificationEnd {
  const delayMs = error.code === 'webhook-gone' ? undefined : delaysMs[attempts - 1];
  return delayMs === undefined ? { kind: 'failed', error } : { kind: 'retry', error, delayMs };
}
