import type { AssetActivities } from '@fettle/activities';
import { proxyActivities } from '@temporalio/workflow';

const { scanForEnrolment } = proxyActivities<AssetActivities>({
  startToCloseTimeout: '20 seconds',
  // Whoever asked waits no longer than that; a scan that comes later would find the enrolment abandoned.
  scheduleToCloseTimeout: '30 seconds',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumAttempts: 3 },
});

/** Has a worker look at the host keys that an asset shows; what becomes of them is decided in Postgres. */
export async function enrolAsset(input: { readonly enrolmentId: string }): Promise<void> {
  await scanForEnrolment(input.enrolmentId);
}
