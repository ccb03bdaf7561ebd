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
import { declaredSecretsOf } from '../run/declared-secrets.js';
import type { WorkerServices } from '../run/services.js';
import { callNotification } from './call-notification.js';

/** Makes one attempt to tell somebody of a run, and writes what became of it. Never rejects for what the receiver does. */
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

function attempt(
  services: WorkerServices,
  due: DueNotification,
  notification: Notification,
  run: RunSummary,
  inputs: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<NotificationEnd> {
  return callNotification(
    services,
    {
      space: run.space,
      uses: notification.uses,
      place: `spec.notify[${due.item}]`,
      input: () => inputOf(due, notification, run, inputs),
      token: effectToken(services.tokenKey, {
        runId: due.runId,
        stepPath: `notify/${due.item}/${due.change}`,
        assetId: NIL_ASSET_ID,
        phase: 'do',
        generation: 1,
      }),
      declared: () => declaredSecretsOf(services, due.runId),
      attempts: due.attempts,
    },
    signal,
  );
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
