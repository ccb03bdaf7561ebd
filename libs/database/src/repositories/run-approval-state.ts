import type { Transaction } from '../data-source.js';
import { appendEntries, lockRun, notifyRun, saveLockedRun } from './run-entries.js';

/**
 * Says whether a run has nothing under way but questions to people. Its state is `waiting-approval` as long as that holds; the same
 * again changes nothing, and so does one that has ended.
 */
export async function setWaitingApproval(transaction: Transaction, runId: string, isWaiting: boolean): Promise<void> {
  const run = await lockRun(transaction, runId);
  const [from, to, kind] = isWaiting
    ? ['running', 'waiting-approval', 'run-waiting-approval']
    : ['waiting-approval', 'running', 'run-went-on'];
  if (run.state !== from) return;
  await transaction.query(`UPDATE run SET state = $2 WHERE id = $1`, [runId, to]);
  await appendEntries(transaction, run, [{ kind: kind! }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}
