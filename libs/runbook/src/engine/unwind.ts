import type { EngineCommand, EngineEvent } from './commands.js';
import type { Program } from './program-nodes.js';
import type { Draft, Ending, Undo } from './state.js';

/** What a run that did not succeed undoes, in the order in which it was begun. */
export function toUndo({ rollback }: Program, undo: readonly Undo[], { state, isComplete }: Ending): readonly Undo[] {
  if (state === 'succeeded' || rollback === 'nothing') return [];
  // Where the way was gone to its end, only targets failed.
  return rollback === 'unfinished' && isComplete ? undo.filter((one) => one.kind === 'targets') : undo;
}

/** Undoes the next thing; no command: nothing is left. What cannot be undone at all is said, and passed over. */
export function unwind(program: Program, draft: Draft): readonly EngineCommand[] {
  const commands: EngineCommand[] = [];
  while (draft.unwinding !== null && draft.unwinding.left.length > 0) {
    const { left, ending } = draft.unwinding;
    const next = left.at(-1)!;
    const path = `${next.path}#undo`;
    if (next.kind === 'targets') {
      const { prefix, item, outputs, first, last } = next;
      const unfinished = ending.isComplete ? 'failed' : 'unfinished';
      const which = program.rollback === 'all' ? 'all' : unfinished;
      draft.open[path] = {};
      const known = outputs === undefined ? {} : { outputs };
      return [...commands, { kind: 'undo-segment', path, prefix, item, ...known, first, last, which, shielded: true }];
    }
    if (next.input !== null) {
      draft.open[path] = {};
      const { action, input } = next;
      const command = { kind: 'run-control', path, ...action, input, outputs: null, generation: 1 } as const;
      return [...commands, { ...command, phase: 'undo', shielded: true }];
    }
    const message = 'nobody knows whether it happened: look, then decide by hand';
    const unknown = { code: 'effect-uncertain', message };
    commands.push({ kind: 'note', path: next.path, note: 'not-undone', data: { ...(next.error ?? unknown) } });
    settle(draft, false);
  }
  return commands;
}

/** The answer to what is being undone. */
export function undone(draft: Draft, event: EngineEvent): void {
  if (!('path' in event) || draft.unwinding === null) return;
  delete draft.open[event.path];
  settle(draft, event.kind === 'ended' && event.state === 'succeeded');
}

function settle(draft: Draft, isUndone: boolean): void {
  if (draft.unwinding === null) return;
  const { left, undone: done, failed } = draft.unwinding;
  const path = left.at(-1)?.path ?? '';
  draft.unwinding = {
    ...draft.unwinding,
    left: left.slice(0, -1),
    undone: isUndone ? [...done, path] : done,
    failed: isUndone ? failed : [...failed, path],
  };
}
