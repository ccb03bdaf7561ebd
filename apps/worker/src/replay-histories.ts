import { createRequire } from 'node:module';
import type { HistoryAndWorkflowId } from '@temporalio/client';
import { historyFromJson } from '@fettle/temporal';
import { makeTelemetryFilterString, Runtime, Worker, type ReplayWorkerOptions } from '@temporalio/worker';

/** One execution of a workflow, as Temporal tells it. */
export interface RecordedHistory {
  /** For messages: a file, a run. */
  readonly name: string;
  /** Temporal's JSON of a history (`historyToJson`, `temporal workflow show -o json`), parsed. */
  readonly history: unknown;
}

export interface Replayed {
  readonly name: string;
  /** Why this code would not have done what the history says; null: it would. */
  readonly fault: string | null;
}

/** The workflows that this worker executes. */
export const workflowBundle = createRequire(import.meta.url).resolve('@fettle/workflows/bundle');

/** Before the first replay of a process: what differs is in the answer, and need not stand in the log as well. */
export function quietReplays(): void {
  const nothing = (): void => undefined;
  Runtime.install({
    logger: { log: nothing, trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing },
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }), forward: {} },
    },
  });
}

/** Replays each history with the workflows of a bundle: whether a worker with that code could have taken the run up at any point of it. */
export async function replayHistories(
  histories: Iterable<RecordedHistory> | AsyncIterable<RecordedHistory>,
  bundlePath = workflowBundle,
): Promise<Replayed[]> {
  const options: ReplayWorkerOptions = { workflowBundle: { codePath: bundlePath }, replayName: 'fettle-replay' };
  const names: string[] = [];
  async function* numbered(): AsyncIterable<HistoryAndWorkflowId> {
    for await (const { name, history } of histories) {
      names.push(name);
      yield { workflowId: `replay-${names.length - 1}`, history: historyFromJson(history) };
    }
  }
  const replayed: Replayed[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories(options, numbered())) {
    replayed.push({ name: names[Number(workflowId.slice('replay-'.length))]!, fault: error?.message ?? null });
  }
  return replayed;
}
