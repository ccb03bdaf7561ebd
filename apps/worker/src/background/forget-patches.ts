import { forgetAttemptMemos, forgetPatchInstalls, forgetTestedSets, PATCHES_KEPT_MS } from '@fettle/database';
import type { BackgroundTask } from './run-loop.js';

const BATCH = 2000;
const DAY_MS = 86_400_000;
/** So long at most, whatever waits for a boot; a tested set is installed within this. */
const KEEP_AT_MOST_MS = 400 * DAY_MS;

/** Forgets installations of patches, what attempts kept before their effect, and tested sets, of long ago. */
export function forgetPatches(): BackgroundTask {
  return {
    name: 'forget-patches',
    intervalMs: 3_600_000,
    async round(transaction) {
      const before = new Date(Date.now() - PATCHES_KEPT_MS);
      const atLatest = new Date(Date.now() - KEEP_AT_MOST_MS);
      const counts = [
        await forgetPatchInstalls(transaction, { before, atLatest, limit: BATCH }),
        await forgetAttemptMemos(transaction, before, BATCH),
        await forgetTestedSets(transaction, atLatest, BATCH),
      ];
      return { more: counts.includes(BATCH) };
    },
  };
}
