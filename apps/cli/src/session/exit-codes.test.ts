import { describe, expect, it } from '@jest/globals';
import { runStates } from '@fettle/contracts';
import { exitCodeOfRun } from './exit-codes.js';

describe('exit codes of a run that was followed', () => {
  it('tell failure, time-out and waiting for approval apart, for each state', () => {
    expect(Object.fromEntries(runStates.map((state) => [state, exitCodeOfRun(state)]))).toEqual({
      queued: 0,
      paused: 0,
      running: 0,
      succeeded: 0,
      failed: 6,
      cancelled: 6,
      'timed-out': 7,
      'waiting-approval': 8,
    });
  });
});
