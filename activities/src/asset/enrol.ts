import { readEnrolmentTarget, type EnrolmentTarget } from '@fettle/database';
import { FettleError } from '@fettle/contracts';
import { settleEnrolment, type EnrolmentScan } from '@fettle/operations';
import { jumpPath } from '../run/jump-path.js';
import { Secrets } from '../run/secrets.js';
import type { WorkerServices } from '../run/services.js';

/** For all types of keys together, which are asked for at once. */
const SCAN_TIMEOUT_MS = 8000;

/** The activities of assets, bound to the services of one worker process. */
export function assetActivities(services: WorkerServices) {
  const { dataSource, ssh } = services;
  return {
    /** Reads the host keys that the asset shows now and settles the enrolment; one that has ended changes nothing. */
    async scanForEnrolment(enrolmentId: string): Promise<void> {
      const target = await readEnrolmentTarget(dataSource.manager, enrolmentId);
      if (!target) return;
      const scan = await scanTarget(target);
      await dataSource.transaction((transaction) => settleEnrolment(transaction, enrolmentId, scan));
    },
  };

  async function scanTarget(target: EnrolmentTarget): Promise<EnrolmentScan> {
    const { address, port } = target;
    try {
      const jump = await jumpPath(target, new Secrets(services, target.space).forAttempt());
      const keys = await ssh.scanHostKeys(address, port, { timeoutMs: SCAN_TIMEOUT_MS, jump });
      const shown = keys.map(({ type, key, fingerprintSha256 }) => ({ type, key, fingerprint: fingerprintSha256 }));
      return { address, port, shown };
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      const { code, message, remedy } = error;
      return { address, port, error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
    }
  }
}

export type AssetActivities = ReturnType<typeof assetActivities>;
