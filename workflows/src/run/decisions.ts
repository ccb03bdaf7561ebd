import type { ClaimedRun, Decision, EndRunInput } from '@fettle/activities';
import { remainingUndo, type EngineCommand, type EngineState, type WorkCommand } from '@fettle/runbook';
import { local } from './activities.js';

export type Ended = Omit<EndRunInput, 'runId'>;

/** The command is carried out, and answered by an event; the others are decisions. */
export function isWork(command: EngineCommand): command is WorkCommand {
  switch (command.kind) {
    case 'skip-step':
    case 'fail-step':
    case 'note':
    case 'cancel':
    case 'free-capacity':
    case 'finish':
      return false;
    default:
      return true;
  }
}

/** When a command comes to its end by itself; null: never. */
export function deadlineOf(command: WorkCommand): number | null {
  if (command.kind === 'wait') return Date.now() + command.durationMs;
  if (command.kind === 'dispatch-segment' && command.onlyFinally !== undefined) {
    return Date.now() + command.onlyFinally.limitMs;
  }
  if (command.kind === 'await-signal') return Date.now() + command.timeoutMs;
  return null;
}

/** The end of a run; of one that another called also what that one may still undo of it. */
export function endOf(
  command: Extract<EngineCommand, { kind: 'finish' }>,
  { program, isCalled }: Pick<ClaimedRun, 'program' | 'isCalled'>,
  engine: EngineState,
): Ended {
  const { state, error = null, isComplete, outputs, summary, rollback } = command;
  return {
    state,
    error,
    outcome: {
      ...{ isComplete, outputs, summary },
      ...(rollback === undefined ? {} : { rollback }),
      ...(isCalled === true ? { undo: remainingUndo(program, engine) } : {}),
    },
  };
}

/** A single step that was decided without being carried out. */
export function isPlain(decisions: readonly Decision[]): boolean {
  return decisions.length === 1 && decisions[0]!.kind !== 'note';
}

/** Journals what only stands in the decisions; `mark` tells groups apart that were written from those that were not. */
export function writeDecisions(runId: string, mark: number, decisions: readonly Decision[]): Promise<void> {
  const [first] = decisions;
  if (!isPlain(decisions) || first === undefined || first.kind === 'note') {
    return local.recordDecisions({ runId, mark, decisions });
  }
  const state = first.kind === 'skip-step' ? 'skipped' : 'failed';
  const error = first.kind === 'skip-step' ? null : first.error;
  return local.recordControlStep({ runId, path: first.path, state, error });
}
