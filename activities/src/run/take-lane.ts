import { openFreshLane, openLane, type Orphan } from '@fettle/database';
import type { LaneHooks, LaneInput, LaneReport } from './lane-input.js';
import type { KnownRun } from './load-run.js';
import { letGoAbandoned, recoverOrphans } from './recover-orphans.js';
import { Lane } from './serve-lane.js';
import type { WorkerServices } from './services.js';
import { endLeft, stopInLane } from './stop-targets.js';

/** Takes a lane (over), settles what its last holder left, and serves it. */
export async function serveLane(
  services: WorkerServices,
  run: KnownRun,
  input: LaneInput,
  hooks: LaneHooks,
): Promise<LaneReport> {
  const opened = await open(services, input);
  const claim = { runId: input.runId, lane: input.lane, laneEpoch: opened.laneEpoch };
  await recoverOrphans(services, run, claim, opened.orphans, { input, cancelled: hooks.cancelled });
  if (input.isEnding === true) await letGoAbandoned(services, claim);
  else if (input.onlyFinally === true) await stopInLane(services, run, claim, input);
  const report = await new Lane(services, run, input, opened.laneEpoch, hooks).serve();
  if (input.isEnding === true && input.onlyFinally === true) await endLeft(services, run, claim, input);
  return report;
}

async function open(
  { dataSource, workerName }: WorkerServices,
  { runId, lane }: LaneInput,
): Promise<{ readonly laneEpoch: number; readonly orphans: readonly Orphan[] }> {
  const fresh = await openFreshLane(dataSource.manager, runId, lane, workerName);
  if (fresh !== null) return { ...fresh, orphans: [] };
  return dataSource.transaction((transaction) => openLane(transaction, runId, lane, workerName));
}
