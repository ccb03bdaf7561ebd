import {
  endRun,
  listOpenSubRuns,
  notifyRun,
  type EndedRunState,
  type OpenRun,
  type Transaction,
} from '@fettle/database';
import { cancelSubRun } from './cancel-run.js';
import { systemContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { tellFinallyLeft } from './tell-finally-left.js';

export interface RunFault {
  readonly state: EndedRunState;
  readonly code: string;
  readonly message: string;
}

/**
 * Ends a run that its workflow cannot end any more, in the name of the system and with its audit record. One that has ended
 * meanwhile stays as it is.
 */
export async function endLostRun(
  transaction: Transaction,
  run: Pick<OpenRun, 'runId' | 'space' | 'cancelRequested'>,
  fault: RunFault,
): Promise<void> {
  const { code, message } = fault;
  const state = run.cancelRequested ? 'cancelled' : fault.state;
  await tellFinallyLeft(transaction, run.runId);
  const { ended } = await endRun(transaction, run.runId, state, { code, message });
  if (!ended) return;
  await recordAudit(systemContext(transaction, run.runId), {
    action: 'run.end',
    space: run.space,
    object: { kind: 'run', name: run.runId, id: run.runId },
    detail: { state, code, message },
  });
  // Nobody waits for them any more.
  for (const id of await listOpenSubRuns(transaction, run.runId)) {
    await cancelSubRun(transaction, id, `run ${run.runId}, which called it, was lost`);
  }
  await notifyRun(transaction, run.runId);
}
