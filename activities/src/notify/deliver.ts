import { FettleError, runbookDocumentSchema, type Notification, type RunSummary } from '@fettle/contracts';
import {
  endNotification,
  giveBackNotification,
  findRunRow,
  NIL_ASSET_ID,
  readRunDefinition,
  type DueNotification,
  type NotificationEnd,
} from '@fettle/database';
import { runSummary } from '@fettle/operations';
import { compileStep, targetStepDecision } from '@fettle/runbook';
import { notificationInput, type RunNews } from '@fettle/runbook/source';
import { effectToken } from '@fettle/security';
import { findAction } from '../actions.js';
import { declaredSecretsOf } from '../run/declared-secrets.js';
import { storedError } from '../run/judge-error.js';
import { Secrets } from '../run/secrets.js';
import type { WorkerServices } from '../run/services.js';

/** Waits between attempts; after the last one the notification is given up, about a day after it was due. */
const delaysMs = [5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600].map((seconds) => seconds * 1000);
/** For one attempt; the lease of a notification is longer. */
export const DELIVERY_TIMEOUT_MS = 30_000;

/** Makes one attempt to tell somebody, and writes what became of it. Never rejects for what the receiver does. */
export async function deliverNotification(
  services: WorkerServices,
  due: DueNotification,
  signal: AbortSignal,
): Promise<void> {
  const database = services.dataSource.manager;
  const definition = await readRunDefinition(database, due.runId);
  const row = await findRunRow(database, due.runId);
  const parsed = runbookDocumentSchema.safeParse(definition?.document);
  const notification = parsed.success ? parsed.data.spec.notify?.[due.item] : undefined;
  let end: NotificationEnd;
  if (!definition || !row || !notification) {
    const message = `The stored runbook of run ${due.runId} has no notification ${due.item} that fits this version of Fettle.`;
    end = { kind: 'failed', error: { code: 'invalid-document', message } };
  } else {
    end = await attempt(services, due, notification, runSummary(row), definition.inputs, signal);
  }
  // A worker that stops makes no attempt count: another one takes it at once.
  if (signal.aborted && end.kind !== 'sent') return giveBackNotification(database, due);
  await services.dataSource.transaction((transaction) =>
    endNotification(transaction, due, notification?.uses ?? 'unknown', end),
  );
}

async function attempt(
  services: WorkerServices,
  due: DueNotification,
  notification: Notification,
  run: RunSummary,
  inputs: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<NotificationEnd> {
  const secrets = new Secrets(services, run.space).forAttempt();
  try {
    const action = findAction(notification.uses);
    if (!action || action.scope !== 'control') {
      throw new FettleError({ code: 'unknown-action', message: `This worker has no action "${notification.uses}".` });
    }
    await secrets.declare(await declaredSecretsOf(services, due.runId));
    const input = action.contract.input.safeParse(inputOf(due, notification, run, inputs));
    if (!input.success) {
      const { path = [], message = 'invalid' } = input.error.issues[0] ?? {};
      throw new FettleError({
        code: 'invalid-input',
        message: `spec.notify[${due.item}].with.${path.join('.')}: ${message}`,
      });
    }
    // The same for every attempt, so that the receiver knows a repeat.
    const token = effectToken(services.tokenKey, {
      runId: due.runId,
      stepPath: `notify/${due.item}/${due.change}`,
      assetId: NIL_ASSET_ID,
      phase: 'do',
      generation: 1,
    });
    const ended = await action.execute(input.data, {
      token,
      stepToken: token,
      timeoutMs: Math.min(DELIVERY_TIMEOUT_MS, action.contract.maxTimeoutMs),
      signal,
      secret: (name, kinds = ['token']) => secrets.value(name, kinds),
      redactor: () => secrets.redactions.redactor(),
    });
    const { state, error } = secrets.maskedEnd(ended);
    if (state === 'succeeded') return { kind: 'sent' };
    return againOrNot(due, error ?? { code: 'internal-error', message: 'The action failed without saying why.' });
  } catch (error) {
    return againOrNot(due, storedError(error, secrets.mask));
  }
}

function inputOf(
  { state, at }: DueNotification,
  { uses, with: given }: Notification,
  run: RunSummary,
  inputs: Readonly<Record<string, unknown>>,
): unknown {
  const { id, space, runbook, version, requestedBy, reason, schedule, targetCount, counts, error } = run;
  const { createdAt, startedAt, endedAt } = run;
  const known = { id, space, runbook, version, requestedBy, reason, schedule, targetCount, counts, error };
  const news: RunNews = {
    state: state as RunNews['state'],
    at: at.toISOString(),
    run: { ...known, createdAt, startedAt, endedAt },
  };
  const decision = targetStepDecision(compileStep({ with: given }, 'run'), {
    inputs: inputs,
    run: { ...known, state, createdAt, startedAt, endedAt },
    steps: {},
  });
  if (decision.kind === 'run') return notificationInput(uses, decision.input, news);
  const { code, message } = decision.kind === 'fail' ? decision.error : { code: 'internal-error', message: 'skipped' };
  throw new FettleError({ code, message });
}

/** A receiver that says so wants no more of it. */
function againOrNot(
  { attempts }: DueNotification,
  error: { code: string; message: string; remedy?: string | undefined },
): NotificationEnd {
  const delayMs = error.code === 'webhook-gone' ? undefined : delaysMs[attempts - 1];
  return delayMs === undefined ? { kind: 'failed', error } : { kind: 'retry', error, delayMs };
}
