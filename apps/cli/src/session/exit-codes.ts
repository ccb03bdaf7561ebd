import type { RunState } from '@fettle/contracts';

/** What `fettle` ends with; scripts rely on it. */
export const EXIT = {
  ok: 0,
  /** An invalid document, an API that is not reached, anything not named below. */
  error: 1,
  usage: 2,
  notFound: 3,
  notSignedIn: 4,
  denied: 5,
  /** The run that was followed failed or was cancelled. */
  runFailed: 6,
  runTimedOut: 7,
  waitingApproval: 8,
  /** A plan was made, and there are steps in it that are bound to fail, because what they would do cannot be rendered. */
  notRendered: 9,
  interrupted: 130,
} as const;

/** Exit code of a command that follows a run, by the state the run is in when it stops following. */
export function exitCodeOfRun(state: RunState): number {
  switch (state) {
    case 'failed':
    case 'cancelled':
      return EXIT.runFailed;
    case 'timed-out':
      return EXIT.runTimedOut;
    case 'waiting-approval':
      return EXIT.waitingApproval;
    default:
      return EXIT.ok;
  }
}
