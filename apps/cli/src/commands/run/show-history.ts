import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import {
  FettleError,
  historyDataSchema,
  MAX_HISTORY_BYTES,
  runHistorySchema,
  type ArchivedExecution,
  type RunHistoryView,
} from '@fettle/contracts';
import type { ApiClient } from '../../client/api-client.js';
import type { Output } from '../../output/output.js';
import { EXIT } from '../../session/exit-codes.js';
import { requireRunId } from '../../session/options.js';
import type { ApiOptions, Session } from '../../session/session.js';
import { eventLines } from './history-events.js';

interface HistoryOptions extends ApiOptions {
  readonly raw?: string;
  readonly execution?: number;
  readonly events?: boolean;
}

/**
 * What is archived of a run's workflow. With `--raw` or `--events` the JSON of one execution, which is held against its digest first.
 * Exit code 1 where what is stored is not what the audit log says.
 */
export async function showHistory(session: Session, idText: string, options: HistoryOptions): Promise<number> {
  const id = requireRunId(idText);
  const { output } = session;
  const client = session.connect(options);
  const history = await client.get(`/api/v1/runs/${id}/history`, runHistorySchema);
  requireFitting(history);
  if (options.raw !== undefined || options.events === true) {
    const execution = chosen(history, options.execution);
    const json = await readExecution(client, id, execution);
    if (options.raw === undefined) {
      const events = (JSON.parse(json.toString('utf8')) as { events: unknown[] }).events;
      output.data(options.output, events, () => eventLines(output, events));
      return EXIT.ok;
    }
    if (options.raw === '-') output.stdout.write(json.toString('utf8'));
    else {
      await writeFile(options.raw, json, { mode: 0o600 });
      output.note(`${options.raw}: execution ${execution.number}, ${execution.events ?? 0} events, as archived.`);
    }
    return EXIT.ok;
  }
  output.data(options.output, history, () => historyText(output, history));
  return EXIT.ok;
}

function requireFitting({ runId, audit }: RunHistoryView): void {
  const wrong = audit.find(({ fits }) => !fits);
  if (wrong === undefined) return;
  throw new FettleError({
    code: 'history-changed',
    message: `What is archived of run ${runId} is not what audit record ${wrong.record} says.`,
    remedy: 'Somebody changed the database. See whether the log itself is whole: fettle audit verify',
  });
}

/** The one that was asked for, or else the last. */
function chosen({ runId, state, executions }: RunHistoryView, number: number | undefined): ArchivedExecution {
  const found = number === undefined ? executions.at(-1) : executions.find((one) => one.number === number);
  if (found !== undefined) return found;
  const why = {
    open: 'the run has not ended; until it has, Temporal has its history',
    pending: 'the run has just ended; a worker archives it within seconds',
    archived: 'see `fettle run history` for their numbers',
    dropped: 'it was dropped from the archive; its digest stands in the audit log',
    incomplete: 'see `fettle run history` for their numbers',
  }[state];
  const what = number === undefined ? 'nothing' : `no execution ${number}`;
  throw new FettleError({ code: 'not-found', message: `Of run ${runId} ${what} is archived: ${why}.` });
}

/** The JSON of an execution. @throws FettleError `history-changed` where it is not what was archived */
async function readExecution(client: ApiClient, runId: string, execution: ArchivedExecution): Promise<Buffer> {
  const { data } = await client.get(`/api/v1/runs/${runId}/history/${execution.number}`, historyDataSchema);
  const json = gunzipSync(Buffer.from(data, 'base64'), { maxOutputLength: MAX_HISTORY_BYTES });
  if (createHash('sha256').update(json).digest('hex') === execution.sha256) return json;
  throw new FettleError({
    code: 'history-changed',
    message: `Execution ${execution.number} of run ${runId} is not what was archived: its digest is another one.`,
    remedy: 'Somebody changed the database. See whether the log itself is whole: fettle audit verify',
  });
}

function historyText(output: Output, history: RunHistoryView): string {
  const fields = output.fields([
    ['Run', history.runId],
    ['Engine version', history.engineVersion],
    ['State', history.state],
    ...history.audit.map(({ record, sha256 }): [string, string] => ['Audit record', `${record} (sha256 ${sha256})`]),
  ]);
  if (history.executions.length === 0) return fields;
  const table = output.table(history.executions, [
    { title: 'EXECUTION', value: (one) => one.number, align: 'right' },
    { title: 'STATE', value: (one) => one.state },
    { title: 'EVENTS', value: (one) => one.events, align: 'right' },
    { title: 'BYTES', value: (one) => one.bytes, align: 'right' },
    { title: 'TEMPORAL RUN', value: (one) => one.workflowRunId },
    { title: 'SHA256', value: (one) => one.sha256 },
    { title: 'REASON', value: (one) => one.reason },
  ]);
  return `${fields}\n${table}`;
}
