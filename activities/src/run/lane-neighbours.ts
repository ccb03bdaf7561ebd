/** Something that waits for work and can be told to look now. */
export interface Waiting {
  lookNow(): void;
}

const byRun = new Map<string, Set<Waiting>>();

/**
 * Lanes of one run in this process wake each other: the end of the last target of a step lets all of them claim the next one,
 * and each would else find out at its next tick. Lanes in other processes do.
 */
export const laneNeighbours = {
  join(runId: string, lane: Waiting): void {
    const lanes = byRun.get(runId);
    if (lanes) lanes.add(lane);
    else byRun.set(runId, new Set([lane]));
  },

  leave(runId: string, lane: Waiting): void {
    const lanes = byRun.get(runId);
    lanes?.delete(lane);
    if (lanes?.size === 0) byRun.delete(runId);
  },

  wakeOthers(runId: string, self: Waiting): void {
    for (const lane of byRun.get(runId) ?? []) if (lane !== self) lane.lookNow();
  },
};
