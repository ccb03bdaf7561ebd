import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { MAX_ARCHIVED_HISTORY_BYTES, MAX_HISTORY_BYTES } from '@fettle/contracts';
import {
  markArchived,
  replaceHistories,
  type StoredHistory,
  type Transaction,
  type UnarchivedRun,
} from '@fettle/database';
import { systemContext } from './context.js';
import { recordAudit } from './record-audit.js';

/** Executions that an audit record names one by one; its digest covers all. */
const MAX_NAMED = 100;

/** One execution of a run's workflow; `text` is null where Temporal has nothing of it. */
export type ExecutionHistory =
  | { readonly workflowRunId: string; readonly text: string; readonly events: number }
  | { readonly workflowRunId: string | null; readonly text: null; readonly reason: string };

/** Compresses and hashes an execution. It takes a while for a large one, so it is done outside of the transaction that stores it. */
export function packHistory(execution: ExecutionHistory): StoredHistory {
  const { workflowRunId } = execution;
  if (execution.text === null) {
    const { reason } = execution;
    return { workflowRunId, state: 'missing', reason, events: null, bytes: null, sha256: null, data: null };
  }
  const json = Buffer.from(execution.text);
  const sha256 = createHash('sha256').update(json).digest('hex');
  const known = { workflowRunId, events: execution.events, bytes: json.length, sha256 };
  const tooLarge = (bytes: number, limit: number, what: string): StoredHistory => ({
    ...known,
    state: 'too-large',
    reason: `${bytes} bytes${what}, more than the ${limit} that are kept`,
    data: null,
  });
  if (json.length > MAX_HISTORY_BYTES) return tooLarge(json.length, MAX_HISTORY_BYTES, '');
  const data = gzipSync(json);
  if (data.length > MAX_ARCHIVED_HISTORY_BYTES) {
    return tooLarge(data.length, MAX_ARCHIVED_HISTORY_BYTES, ' when compressed');
  }
  return { ...known, state: 'archived', reason: null, data };
}

/** SHA-256 over a line for each execution, oldest first: its id in Temporal, a space, the digest of its JSON; `-` for what is not known. */
export function digestOfHistories(histories: readonly Pick<StoredHistory, 'workflowRunId' | 'sha256'>[]): string {
  const lines = histories.map(({ workflowRunId, sha256 }) => `${workflowRunId ?? '-'} ${sha256 ?? '-'}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/**
 * Stores the history of an ended run with an audit record that has its digest. False: the run has gone on meanwhile, or it was
 * archived before; nothing is changed then.
 */
export async function archiveHistory(
  transaction: Transaction,
  run: UnarchivedRun,
  histories: readonly StoredHistory[],
): Promise<boolean> {
  if (!(await markArchived(transaction, run))) return false;
  const sum = (read: (history: StoredHistory) => number | null): number =>
    histories.reduce((total, history) => total + (read(history) ?? 0), 0);
  const auditId = await recordAudit(systemContext(transaction, run.runId), {
    action: 'run.archive',
    space: run.space,
    object: { kind: 'run', name: run.runId, id: run.runId },
    detail: {
      runbook: run.runbook,
      workflowId: run.workflowId,
      engineVersion: run.engineVersion,
      executions: histories.length,
      archived: histories.filter(({ state }) => state === 'archived').length,
      events: sum(({ events }) => events),
      bytes: sum(({ bytes }) => bytes),
      sha256: digestOfHistories(histories),
      histories: histories.slice(0, MAX_NAMED).map(({ workflowRunId, state, sha256 }) => ({
        ...{ workflowRunId, state, sha256 },
      })),
    },
  });
  await replaceHistories(transaction, run, auditId, histories);
  return true;
}
