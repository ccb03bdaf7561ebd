import type { EngineCommand, EngineEvent } from '../engine/commands.js';
import type { StepError } from '../engine/decide-step.js';
import { undoneBy, type Undo, type UndoReach } from '../engine/undo.js';
import { undoCommand } from '../engine/unwind.js';
import { SimulatedControl } from './simulated-control.js';
import type { SimulatedRun } from './simulated-run.js';
import { isWanted, undoSegment, type UndoAbove } from './simulated-undo.js';
import type { TargetRow } from './targets.js';

type UndoCall = Extract<EngineCommand, { kind: 'undo-call' }>;
type UndoEnd = 'succeeded' | 'skipped' | 'failed';

/** Undoes what the run did that a step called, by the rules that the workflow keeps to. */
export function undoCall(run: SimulatedRun, command: UndoCall, answer: (event: EngineEvent) => void): void {
  const { path, which } = command;
  const targets = new Map(run.targets.map((target) => [target.name, target]));
  const isMeant = ({ name }: TargetRow): boolean => {
    const own = targets.get(name);
    return own === undefined ? which !== 'failed' : isWanted(own, which);
  };
  const isKept = ({ name }: TargetRow): boolean => {
    const own = targets.get(name);
    return own !== undefined && (own.isRollbackIncomplete || own.state === 'unknown');
  };
  undoCalled({ which, isMeant, isKept }, run, path.replace(/#undo$/, ''), (state, error) =>
    answer({ kind: 'ended', path, state, ...(error === null ? {} : { error }) }),
  );
}

/** What the run that rolls back says of those that it called. */
interface Scope extends UndoAbove {
  readonly which: UndoReach;
}

function undoCalled(
  scope: Scope,
  caller: SimulatedRun,
  path: string,
  onEnd: (state: UndoEnd, error: StepError | null) => void,
): void {
  const { clock } = caller;
  const called = caller.called.get(path);
  const undo = called === undefined ? [] : undoneBy(scope.which, called.remainingUndo);
  const failed = scope.which === 'failed' ? [] : [...(called?.finish?.rollback?.failed ?? [])];
  if (called === undefined || (undo.length === 0 && failed.length === 0)) {
    clock.after(0, () => onEnd('skipped', null));
    return;
  }
  caller.append({ kind: 'undo-started', step: path, data: { attempt: 1 } });
  if (!called.isUndone) called.append({ kind: 'undo-requested', data: { run: caller.number, step: path } });
  called.isUndone = true;
  const undone: string[] = [];
  const end = (): void => {
    const message = `of the run of "${called.runbook}" not everything could be undone: ${failed.join(', ')}`;
    const error = failed.length === 0 ? null : { code: 'rollback-incomplete', message };
    const state = error !== null ? 'failed' : undone.length === 0 ? 'skipped' : 'succeeded';
    const stored = error === null ? null : { ...error };
    caller.append({ kind: 'undo-ended', step: path, data: { attempt: 1, state, error: stored } });
    called.append({ kind: 'run-undone', data: { rollback: { undone, failed } } });
    onEnd(state, error);
  };
  const left = [...undo];
  const next = (): void => {
    const one = left.pop();
    if (one === undefined) return end();
    undoOne(scope, called, one, (state) => {
      if (state === 'succeeded') undone.push(one.path);
      if (state === 'failed') failed.push(one.path);
      next();
    });
  };
  clock.after(0, next);
}

function undoOne(scope: Scope, called: SimulatedRun, one: Undo, onEnd: (state: UndoEnd) => void): void {
  const command = undoCommand(one, scope.which);
  if ('notUndone' in command) {
    called.append({ kind: 'not-undone', step: one.path, data: { ...command.notUndone } });
    return onEnd('failed');
  }
  const ended = (event: EngineEvent): void => {
    onEnd(event.kind === 'ended' && event.state === 'succeeded' ? 'succeeded' : 'failed');
  };
  switch (command.kind) {
    case 'undo-segment': {
      const count: number = undoSegment(
        called,
        command,
        (event) => (count === 0 ? onEnd('skipped') : ended(event)),
        scope,
      );
      return;
    }
    case 'undo-call':
      return undoCalled(scope, called, one.path, onEnd);
    case 'run-control':
      return new SimulatedControl(called, command, ended).start();
  }
}
