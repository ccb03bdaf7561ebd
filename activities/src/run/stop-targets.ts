import {
  endStopped,
  lockRunForLane,
  notifyRun,
  saveLockedRun,
  stopTargets,
  type LaneClaim,
  type LockedRun,
  type StoppedSegment,
  type StopWay,
  type Transaction,
} from '@fettle/database';
import { finallyLeft, nextAfterStop } from '@fettle/runbook';
import type { LaneInput } from './lane-input.js';
import type { KnownRun } from './load-run.js';
import type { WorkerServices } from './services.js';

type Segment = Pick<LaneInput, 'firstStep' | 'lastStep' | 'prefix' | 'wave'>;

/** Sends the targets that a cancel has stopped to their `finally`: what this lane's last holder left claimed is settled by now. */
export function stopInLane(services: WorkerServices, run: KnownRun, claim: LaneClaim, segment: Segment): Promise<void> {
  return inRun(services, claim, (transaction, locked) => stopTargets(transaction, locked, segmentOf(run, segment)));
}

/** Ends those that did not come through their `finally` in time. */
export function endLeft(services: WorkerServices, run: KnownRun, claim: LaneClaim, segment: Segment): Promise<void> {
  return inRun(services, claim, (transaction, locked) => endStopped(transaction, locked, segmentOf(run, segment)));
}

/** Indexes of the steps of a segment that a cancel does not stop. */
export function keptSteps({ targetCodes }: KnownRun, { firstStep, lastStep }: Segment): readonly number[] {
  const codes = targetCodes.slice(firstStep, lastStep + 1);
  return codes.filter(({ finallys }) => finallys.length > 0).map(({ index }) => index);
}

function inRun(
  { dataSource }: WorkerServices,
  claim: LaneClaim,
  change: (transaction: Transaction, run: LockedRun) => Promise<void>,
): Promise<void> {
  return dataSource.transaction(async (transaction) => {
    const run = await lockRunForLane(transaction, claim);
    await change(transaction, run);
    await saveLockedRun(transaction, run);
    await notifyRun(transaction, claim.runId);
  });
}

function segmentOf({ targetCodes }: KnownRun, { firstStep, lastStep, prefix = '', wave = 1 }: Segment): StoppedSegment {
  const ways = targetCodes.slice(firstStep, lastStep + 1).map((code): StopWay => {
    const left = (hasBegun: boolean): string[] =>
      finallyLeft(targetCodes, code, hasBegun).map((path) => `${prefix}${path}`);
    // Failures that were put off stay so: only a target that stands in a `finally` has any.
    const [begun, fresh] = [nextAfterStop(code, 0, true), nextAfterStop(code, 0, false)];
    const path = `${prefix}${code.path}`;
    return { stepIndex: code.index, path, begun, fresh, leftAfter: left(true), leftHere: left(false) };
  });
  return { wave, ways };
}
