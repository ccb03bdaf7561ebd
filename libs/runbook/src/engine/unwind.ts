import type { EngineCommand, EngineEvent, WorkCommand } from './commands.js';
import type { StepError } from './decide-step.js';
import type { Program } from './program-nodes.js';
import type { Draft, EngineState, Ending } from './state.js';
import { undoneBy, type Undo, type UndoReach } from './undo.js';
import { UNDOES_ALL } from './walk-targets.js';

/** What a run that did not succeed undoes, in the order in which it was begun. */
export function toUndo(
  program: Program,
  { undo, marks }: Pick<Draft, 'undo' | 'marks'>,
  ending: Ending,
): readonly Undo[] {
  if (ending.state === 'succeeded' || program.rollback === 'nothing') return [];
  return undoneBy(reachOf(program, marks, ending), undo);
}

/** Where the way was gone to its end, only targets failed. */
function reachOf({ rollback }: Program, marks: Draft['marks'], { isComplete }: Ending): UndoReach {
  if (rollback === 'all' || marks[UNDOES_ALL] === true) return 'all';
  return isComplete ? 'failed' : 'unfinished';
}

type UndoCommand = Extract<WorkCommand, { kind: 'undo-segment' | 'undo-call' | 'run-control' }>;

/** How one thing is undone: by a command, or, where it cannot be at all, why. Called runs are undone by the same rules. */
export function undoCommand(one: Undo, which: UndoReach): UndoCommand | { readonly notUndone: StepError } {
  const path = `${one.path}#undo`;
  switch (one.kind) {
    case 'targets': {
      const { prefix, item, outputs, first, last } = one;
      const known = outputs === undefined ? {} : { outputs };
      return { kind: 'undo-segment', path, prefix, item, ...known, first, last, which, shielded: true };
    }
    case 'call':
      return { kind: 'undo-call', path, which, shielded: true };
    case 'control': {
      const { action, input, error } = one;
      if (input === null) return { notUndone: error ?? nobodyKnows };
      const command = { kind: 'run-control', path, ...action, input, outputs: null, generation: 1 } as const;
      return { ...command, phase: 'undo', shielded: true };
    }
  }
}

const nobodyKnows: StepError = {
  code: 'effect-uncertain',
  message: 'nobody knows whether it happened: look, then decide by hand',
};

/** Undoes the next thing; no command: nothing is left. What cannot be undone at all is said, and passed over. */
export function unwind(program: Program, draft: Draft): readonly EngineCommand[] {
  const commands: EngineCommand[] = [];
  while (draft.unwinding !== null && draft.unwinding.left.length > 0) {
    const { left, ending } = draft.unwinding;
    const next = left.at(-1)!;
    const command = undoCommand(next, reachOf(program, draft.marks, ending));
    if ('kind' in command) {
      draft.open[command.path] = {};
      return [...commands, command];
    }
    commands.push({ kind: 'note', path: next.path, note: 'not-undone', data: { ...command.notUndone } });
    settle(draft, 'failed');
  }
  return commands;
}

/** The answer to what is being undone. */
export function undone(draft: Draft, event: EngineEvent): void {
  if (!('path' in event) || draft.unwinding === null) return;
  delete draft.open[event.path];
  const state = event.kind === 'ended' ? event.state : 'failed';
  settle(draft, state === 'succeeded' || state === 'skipped' ? state : 'failed');
}

/** `skipped`: there was nothing to undo, and nothing is said of it. */
function settle(draft: Draft, state: 'succeeded' | 'skipped' | 'failed'): void {
  if (draft.unwinding === null) return;
  const { left, undone: done, failed } = draft.unwinding;
  const path = left.at(-1)?.path ?? '';
  draft.unwinding = {
    ...draft.unwinding,
    left: left.slice(0, -1),
    undone: state === 'succeeded' ? [...done, path] : done,
    failed: state === 'failed' ? [...failed, path] : failed,
  };
}

/**
 * What of an ended run may still be undone by the run that called it, in the order in which it was begun. Steps on targets and calls
 * are listed although they were undone: which of them were, and on which targets, stands in the journal.
 */
export function remainingUndo({ rollback }: Program, { undo, unwinding }: EngineState): readonly Undo[] {
  if (rollback === 'nothing') return [];
  const settled = new Set([...(unwinding?.undone ?? []), ...(unwinding?.failed ?? [])]);
  return undo.filter(({ kind, path }) => kind !== 'control' || !settled.has(path));
}
