import {
  type FettleError,
  notFoundError,
  type Entry,
  type Page,
  type RunDetail,
  type RunLogChunk,
  type RunState,
  type RunSummary,
  type RunTarget,
} from '@fettle/contracts';
import {
  findRunRow,
  listContinuations,
  listControlStepRows,
  listEndedApprovals,
  listOpenApprovals,
  listEntryRows,
  listLogRows,
  listRunRows,
  listStepRows,
  listSubRunRows,
  listTargetRows,
  readRunTail,
  RUN_CONDITION_FIRST_PARAMETER,
  readWaveCounts,
  type Transaction,
} from '@fettle/database';
import { approvalView } from './approval-view.js';
import { assetCondition } from './asset-scope.js';
import { decodeCursor, pageFrom } from './cursor.js';
import type { OperationContext } from './context.js';
import { readRunCalendarView } from './read-calendars.js';
import { readLastStderr } from './last-stderr.js';
import { readAssetWaits, readRunCapacity } from './read-capacity.js';
import { runSummary, stepView, targetView } from './run-view.js';
import { requireRunInScope } from './select-targets.js';

/** Targets that `getRun` gives at once; the rest is paged. */
const FIRST_TARGETS = 1000;
/** Runs below a run that `getRun` gives. */
const SHOWN_SUB_RUNS = 200;
/** Approvals that have ended which `getRun` gives. */
const SHOWN_ENDED_APPROVALS = 100;

function notFound(runId: string): FettleError {
  return notFoundError('run', runId, { remedy: 'See `fettle run list`.' });
}

/** Runs that the actor may read each by itself: where he is narrowed to some assets, those that touch no others. */
export async function listRuns(
  context: OperationContext,
  query: {
    readonly space: string;
    readonly limit: number;
    readonly after?: string | undefined;
    readonly state?: RunState | undefined;
    readonly runbook?: string | undefined;
    /** Those that steps of other runs called, too. */
    readonly subRuns?: boolean | undefined;
  },
): Promise<Page<RunSummary>> {
  const cursor = decodeCursor(query.after, ['uuid']);
  const allowed = context.scopeOf('run:read', query.space);
  const rows = await listRunRows(context.transaction, {
    space: query.space,
    before: cursor?.[0] ?? null,
    limit: query.limit + 1,
    state: query.state ?? null,
    runbook: query.runbook ?? null,
    subRuns: query.subRuns ?? false,
    targetsWithin: assetCondition(null, allowed, RUN_CONDITION_FIRST_PARAMETER),
  });
  return pageFrom(rows, query.limit, runSummary, (row) => [row.id]);
}

/** For reading one run: all its targets must be within the actor's selectors. @throws FettleError `denied` */
export async function requireReadableRun(context: OperationContext, runId: string): Promise<void> {
  const row = await findRunRow(context.transaction, runId);
  if (!row) throw notFound(runId);
  await requireRunInScope(context, 'run:read', row);
}

export async function getRun(transaction: Transaction, runId: string): Promise<RunDetail> {
  const row = await findRunRow(transaction, runId);
  if (!row) throw notFound(runId);
  const targets = await listRunTargets(transaction, runId, { limit: FIRST_TARGETS });
  const capacity = await readRunCapacity(transaction, runId);
  const calendar = await readRunCalendarView(transaction, runId);
  const approvals = row.endedAt === null ? await listOpenApprovals(transaction, runId) : [];
  const endedApprovals = await listEndedApprovals(transaction, runId, SHOWN_ENDED_APPROVALS);
  const continuedBy = await listContinuations(transaction, runId);
  const subRuns = await listSubRunRows(transaction, runId, SHOWN_SUB_RUNS);
  return {
    ...runSummary(row),
    inputs: row.inputs,
    selector: row.selector,
    targetSetDigest: row.targetSetDigest,
    ...(row.waveCount > 1 ? { waves: { current: row.wave, items: await readWaveCounts(transaction, runId) } } : {}),
    ...(capacity.length > 0 ? { capacity } : {}),
    ...(calendar === null ? {} : { calendar }),
    summary: row.summary,
    ...(row.engineVersion === null ? {} : { engineVersion: row.engineVersion }),
    ...(row.rollback === null ? {} : { rollback: row.rollback }),
    outputs: row.outputs,
    ...(subRuns.length === 0 ? {} : { subRuns }),
    ...(continuedBy.length === 0 ? {} : { continuedBy }),
    controlSteps: (await listControlStepRows(transaction, runId)).map(stepView),
    ...(approvals.length > 0 ? { approvals: approvals.map(approvalView) } : {}),
    ...(endedApprovals.length > 0 ? { endedApprovals: endedApprovals.map(approvalView) } : {}),
    targets: [...targets.items],
    targetsNext: targets.next,
  };
}

export async function listRunTargets(
  transaction: Transaction,
  runId: string,
  query: { readonly after?: string | undefined; readonly limit: number; readonly asset?: string | undefined },
): Promise<Page<RunTarget>> {
  const cursor = decodeCursor(query.after, ['string', 'uuid']);
  const after = cursor ? { name: cursor[0], id: cursor[1] } : null;
  const rows = await listTargetRows(transaction, runId, after, query.limit + 1, query.asset ?? null);
  const steps = await listStepRows(
    transaction,
    runId,
    rows.map((row) => row.assetId),
  );
  const waits = await readAssetWaits(transaction, runId, rows);
  const shown = rows.slice(0, query.limit).map((row) => ({ row, steps: steps.get(row.assetId) ?? [] }));
  const lastStderr = await readLastStderr(transaction, runId, shown);
  return pageFrom(
    rows,
    query.limit,
    (row) => targetView(row, steps.get(row.assetId) ?? [], waits.get(row.assetId), lastStderr),
    (row) => [row.asset, row.assetId],
  );
}

/** Log chunks in the order in which they were written; `next` is the number to go on after, null where nothing is left now. */
export async function readLogs(
  transaction: Transaction,
  runId: string,
  query: {
    readonly after: number;
    readonly limit: number;
    readonly asset?: string | undefined;
    readonly step?: string | undefined;
  },
): Promise<{ items: RunLogChunk[]; next: number | null }> {
  if (!(await readRunTail(transaction, runId))) throw notFound(runId);
  const rows = await listLogRows(transaction, runId, {
    after: query.after,
    limit: query.limit,
    asset: query.asset ?? null,
    step: query.step ?? null,
  });
  const items = rows.map((row) => ({ ...row, at: row.at.toISOString() }));
  return { items, next: items.length === query.limit ? items.at(-1)!.seq : null };
}

export type RunEvent =
  | { readonly type: 'entry'; readonly seq: number; readonly data: Entry }
  | { readonly type: 'log'; readonly seq: number; readonly data: RunLogChunk };

/**
 * Entries (and log chunks) after a number, in order. `ended`: the run has ended and this page reaches its last event. The tail
 * is read first, so that an event committed between two statements cannot be skipped.
 */
export async function readEvents(
  transaction: Transaction,
  runId: string,
  query: { readonly after: number; readonly logs: boolean; readonly limit: number },
): Promise<{ events: RunEvent[]; ended: boolean }> {
  const tail = await readRunTail(transaction, runId);
  if (!tail) throw notFound(runId);
  const entries = await listEntryRows(transaction, runId, query.after, query.limit);
  const logs = query.logs
    ? await listLogRows(transaction, runId, { after: query.after, limit: query.limit, asset: null, step: null })
    : [];
  const merged: RunEvent[] = [
    ...entries.map((row): RunEvent => ({ type: 'entry', seq: row.seq, data: { ...row, at: row.at.toISOString() } })),
    ...logs.map((row): RunEvent => ({ type: 'log', seq: row.seq, data: { ...row, at: row.at.toISOString() } })),
  ].sort((a, b) => a.seq - b.seq);
  // Beyond the tail, and beyond the last number of a full list, there may be events that were not read.
  const full = [entries, logs].filter((rows) => rows.length === query.limit).map((rows) => rows.at(-1)!.seq);
  const horizon = Math.min(...full, tail.seq);
  const events = merged.filter((event) => event.seq <= horizon);
  return { events, ended: tail.ended && full.length === 0 };
}
