import type { TargetState } from '@fettle/contracts';
import type { EngineCommand } from '../engine/commands.js';
import { GATE_CLOSED } from '../engine/walk-targets.js';
import { undispatchedError, type SegmentHost } from './simulated-segment.js';
import type { TargetRow } from './targets.js';

type Finish = Extract<EngineCommand, { kind: 'finish' }>;

/** What becomes of a target that is open when its run ends. */
export function openEnd(
  target: TargetRow,
  state: Finish['state'],
  isComplete: boolean,
  isOverLimit: boolean,
): TargetState {
  if (isComplete) return target.hasExecuted ? 'succeeded' : 'skipped';
  return state === 'failed' && target.state === 'pending' && !isOverLimit ? 'skipped' : 'cancelled';
}

/** What stands at the open targets of a run whose rollout stopped. */
export function stoppedError(
  run: Pick<SegmentHost, 'targets' | 'maxFailures'>,
  code: string | undefined,
): ReturnType<typeof undispatchedError> | null {
  if (code === 'failure-limit') return undispatchedError(run);
  return code === GATE_CLOSED ? { code, message: 'the gate between two waves did not open' } : null;
}
