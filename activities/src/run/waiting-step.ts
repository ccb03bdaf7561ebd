import {
  endControlStep,
  startControlStep,
  unstartedToken,
  type ControlAttempt,
  type ControlEnd,
  type Transaction,
} from '@fettle/database';

/** A step that only waits is held by the run itself, so that every execution that asks for it finds it its own. */
const WAIT_EPOCH = 1;

/** A step that waits, by its path. */
export interface WaitingStep {
  readonly runId: string;
  readonly path: string;
  /** Of a `finally`: a cancel of the run does not stop it. */
  readonly shielded?: boolean | undefined;
}

export type OpenedStep =
  | { readonly kind: 'open' }
  /** The run was cancelled or has ended. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'ended'; readonly end: ControlEnd };

/** Journals that a step begins to wait; again is the same as once. */
export async function openStep(database: Transaction, step: WaitingStep): Promise<OpenedStep> {
  const started = await startControlStep(database, attemptOf(step));
  if (started.kind === 'ended' || started.kind === 'refused') return started;
  return { kind: 'open' };
}

/** Journals how a wait ended; one that has ended stays as it is. */
export async function closeStep(database: Transaction, step: WaitingStep, end: ControlEnd): Promise<void> {
  await endControlStep(database, attemptOf(step), end);
}

function attemptOf({ runId, path, shielded }: WaitingStep): ControlAttempt {
  const token = unstartedToken(path);
  return { runId, step: path, generation: 1, token, epoch: WAIT_EPOCH, effect: 'none', shielded };
}
