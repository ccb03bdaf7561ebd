import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { MAX_ARCHIVED_HISTORY_BYTES, MAX_HISTORY_BYTES, MAX_RUN_HISTORY_BYTES } from '@fettle/contracts';
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

/** One execution of a run's workflow, its JSON in parts; `chunks` is null where Temporal has nothing of it. */
export type ExecutionHistory =
  | {
      readonly workflowRunId: string;
      readonly chunks: AsyncIterable<{ readonly text: string; readonly events: number }>;
    }
  | { readonly workflowRunId: string | null; readonly chunks: null; readonly reason: string };

/** How much is kept; what is more is told with its size and digest, and never cut. */
export interface HistoryLimits {
  /** Of one execution: its JSON, and that compressed. */
  readonly jsonBytes: number;
  readonly archivedBytes: number;
  /** Compressed, of all executions of a run. */
  readonly runBytes: number;
}

const usualLimits: HistoryLimits = {
  jsonBytes: MAX_HISTORY_BYTES,
  archivedBytes: MAX_ARCHIVED_HISTORY_BYTES,
  runBytes: MAX_RUN_HISTORY_BYTES,
};

/**
 * Compresses and hashes the executions of a run, which come newest first, while they are read: in memory are one part of the JSON
 * and what is kept of it compressed. It takes a while, so it is done outside of the transaction that stores it.
 * @returns oldest first
 */
export async function packHistories(
  executions: AsyncIterable<ExecutionHistory>,
  limits: HistoryLimits = usualLimits,
): Promise<StoredHistory[]> {
  const packed: StoredHistory[] = [];
  let keptBytes = 0;
  for await (const execution of executions) {
    const history = await packHistory(execution, limits, keptBytes);
    keptBytes += history.data?.length ?? 0;
    packed.push(history);
  }
  return packed.reverse();
}

async function packHistory(
  execution: ExecutionHistory,
  limits: HistoryLimits,
  keptBytes: number,
): Promise<StoredHistory> {
  const { workflowRunId } = execution;
  if (execution.chunks === null) {
    const { reason } = execution;
    return { workflowRunId, state: 'missing', reason, events: null, bytes: null, sha256: null, data: null };
  }
  const json = new CountedJson(execution.chunks);
  const archived = new BoundedBytes(Math.min(limits.archivedBytes, limits.runBytes - keptBytes));
  await pipeline(json.parts(), createGzip(), (compressed: AsyncIterable<Uint8Array>) => archived.take(compressed));
  const known = { workflowRunId, events: json.events, bytes: json.bytes, sha256: json.sha256() };
  const reason = tooLarge(json.bytes, archived.bytes, limits, keptBytes);
  return reason === null
    ? { ...known, state: 'archived', reason, data: archived.concat() }
    : { ...known, state: 'too-large', reason, data: null };
}

function tooLarge(
  bytes: number,
  archivedBytes: number,
  { jsonBytes, archivedBytes: limit, runBytes }: HistoryLimits,
  keptBytes: number,
): string | null {
  if (bytes > jsonBytes) return `${bytes} bytes, more than the ${jsonBytes} that are kept`;
  if (archivedBytes > limit) return `${archivedBytes} bytes when compressed, more than the ${limit} that are kept`;
  if (keptBytes + archivedBytes <= runBytes) return null;
  return `${archivedBytes} bytes when compressed, and ${keptBytes} of the executions after it, more than the ${runBytes} that are kept of a run`;
}

/** The JSON as it passes: how much it is, and its digest. */
class CountedJson {
  bytes = 0;
  events = 0;
  readonly #hash = createHash('sha256');

  constructor(private readonly chunks: AsyncIterable<{ readonly text: string; readonly events: number }>) {}

  async *parts(): AsyncGenerator<Buffer> {
    for await (const { text, events } of this.chunks) {
      const part = Buffer.from(text);
      this.#hash.update(part);
      this.bytes += part.length;
      this.events += events;
      yield part;
    }
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** Counts all that comes, and lets go of it once it is too much to be kept. */
class BoundedBytes {
  bytes = 0;
  #kept: Uint8Array[] = [];

  constructor(private readonly maxBytes: number) {}

  async take(parts: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const part of parts) {
      this.bytes += part.length;
      if (this.bytes <= this.maxBytes) this.#kept.push(part);
      else this.#kept = [];
    }
  }

  concat(): Buffer {
    return Buffer.concat(this.#kept);
  }
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
