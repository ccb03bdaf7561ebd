import { FettleError, type ArchivedExecution, type HistoryData, type RunHistoryView } from '@fettle/contracts';
import {
  findHistory,
  listHistories,
  readAuditRecords,
  readHistoryStanding,
  type HistoryRow,
  type Transaction,
} from '@fettle/database';
import { digestOfHistories } from './archive-history.js';

/** What is archived of a run, and whether it is what the audit log says. The caller has checked that the run may be read. */
export async function getRunHistory(transaction: Transaction, runId: string): Promise<RunHistoryView> {
  const standing = await readHistoryStanding(transaction, runId);
  const rows = await listHistories(transaction, runId);
  const isWhole = rows.every(({ state }) => state === 'archived');
  const kept = rows.length === 0 ? 'dropped' : isWhole ? 'archived' : 'incomplete';
  const ended = standing.isArchived ? kept : 'pending';
  return {
    runId,
    engineVersion: standing.engineVersion,
    state: standing.hasEnded ? ended : 'open',
    executions: rows.map(executionView),
    audit: await compareWithAudit(transaction, rows),
  };
}

async function compareWithAudit(
  transaction: Transaction,
  rows: readonly HistoryRow[],
): Promise<RunHistoryView['audit']> {
  const ids = [...new Set(rows.map(({ auditId }) => auditId))];
  const records = await readAuditRecords(transaction, ids);
  return ids.map((record) => {
    const sha256 = digestOf(records.get(record));
    const now = digestOfHistories(rows.filter(({ auditId }) => auditId === record));
    return { record, sha256, fits: sha256 === now };
  });
}

/** Empty where there is no such record. */
function digestOf(canonical: Buffer | undefined): string {
  if (canonical === undefined) return '';
  const { detail } = JSON.parse(canonical.toString('utf8')) as { detail: { sha256?: unknown } };
  return typeof detail.sha256 === 'string' ? detail.sha256 : '';
}

/** One execution with its JSON, compressed. @throws FettleError `not-found`; `no-history` where there is none of it, with the reason */
export async function getHistoryData(transaction: Transaction, runId: string, number: number): Promise<HistoryData> {
  const row = await findHistory(transaction, runId, number);
  if (row === null) {
    throw new FettleError({
      code: 'not-found',
      message: `Nothing is archived under number ${number} of run ${runId}.`,
      remedy: `See what is: fettle run history ${runId}`,
    });
  }
  if (row.data === null) {
    throw new FettleError({ code: 'no-history', message: `Execution ${number} is not kept: ${row.reason ?? ''}.` });
  }
  return { ...executionView(row), data: row.data.toString('base64') };
}

function executionView(row: HistoryRow): ArchivedExecution {
  const { number, workflowId, workflowRunId, state, reason, events, bytes, sha256, auditId, archivedAt } = row;
  return {
    ...{ number, workflowId, workflowRunId, state, reason, events, bytes, sha256 },
    auditRecord: auditId,
    archivedAt: archivedAt.toISOString(),
  };
}
