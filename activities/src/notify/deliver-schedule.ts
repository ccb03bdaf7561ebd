import type { ScheduleNotifyState } from '@fettle/contracts';
import {
  endScheduleNotification,
  giveBackScheduleNotification,
  NIL_ASSET_ID,
  type DueScheduleNotification,
} from '@fettle/database';
import { scheduleNotificationInput } from '@fettle/runbook/source';
import { effectToken } from '@fettle/security';
import type { WorkerServices } from '../run/services.js';
import { callNotification } from './call-notification.js';

/** Makes one attempt to tell somebody of a schedule, and writes what became of it. Never rejects for what the receiver does. */
export async function deliverScheduleNotification(
  services: WorkerServices,
  due: DueScheduleNotification,
  signal: AbortSignal,
): Promise<void> {
  const database = services.dataSource.manager;
  const { id, space, schedule, item, state, uses, input, news, at, attempts } = due;
  const end = await callNotification(
    services,
    {
      space,
      uses,
      place: `spec.notify[${item}]`,
      input: () =>
        scheduleNotificationInput(uses, input, {
          state: state as ScheduleNotifyState,
          at: at.toISOString(),
          schedule: { space, name: schedule },
          details: withTimes(news),
        }),
      token: effectToken(services.tokenKey, {
        runId: id,
        stepPath: 'schedule-notification',
        assetId: NIL_ASSET_ID,
        phase: 'do',
        generation: 1,
      }),
      declared: () => Promise.resolve([]),
      attempts,
    },
    signal,
  );
  // A worker that stops makes no attempt count: another one takes it at once.
  if (signal.aborted && end.kind !== 'sent') return giveBackScheduleNotification(database, due);
  await endScheduleNotification(database, due, end);
}

/** The database writes times with an offset; receivers get them as everywhere else. */
function withTimes(news: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(news).map(([key, value]) => [
      key,
      key.endsWith('At') && typeof value === 'string' ? new Date(value).toISOString() : value,
    ]),
  );
}
