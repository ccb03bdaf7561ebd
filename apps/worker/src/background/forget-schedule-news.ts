import { forgetLostDeadlines, forgetScheduleNotifications } from '@fettle/database';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 5000;
/** So long it can be seen what a schedule told whom. */
const KEEP_NOTIFICATIONS_MS = 90 * 86_400_000;

/** Forgets what is known of schedules besides their ledger: deadlines whose fires have left it, and notifications of long ago. */
export function forgetScheduleNews(): BackgroundTask {
  return {
    name: 'forget-schedule-news',
    intervalMs: 3_600_000,
    async round(transaction) {
      const deadlines = await forgetLostDeadlines(transaction, BATCH);
      const before = new Date(Date.now() - KEEP_NOTIFICATIONS_MS);
      const notifications = await forgetScheduleNotifications(transaction, before, BATCH);
      return { more: deadlines === BATCH || notifications === BATCH };
    },
  };
}
