import { targetStates, type TargetState } from '@fettle/contracts';
import { advance } from '@fettle/runbook';
import type { BrokenAdapter } from './broken-worker.js';

/** Hosts of the engine that do something else than it says. */
export const brokenEngines: Readonly<Record<BrokenAdapter | 'takes the last branch', typeof advance>> = {
  'drops the notes': (program, state, event) => {
    const { commands, ...next } = advance(program, state, event);
    return { ...next, commands: commands.filter(({ kind }) => kind !== 'note') };
  },
  'takes the last branch': (program, state, event) => {
    const text = JSON.stringify(program, (_, value: unknown) => {
      const branches = (value as { branches?: { when?: unknown }[] } | null)?.branches;
      if (branches === undefined || !branches.some((branch) => 'when' in branch)) return value;
      return { ...(value as object), branches: [...branches].reverse().map((branch) => ({ ...branch, when: null })) };
    });
    return advance(JSON.parse(text) as typeof program, state, event);
  },
  'takes every failure for a success': (program, state, event) => {
    const isFailed = event.kind === 'ended' && event.state === 'failed';
    return advance(program, state, isFailed ? { ...event, state: 'succeeded', output: null } : event);
  },
  'forgets to move targets': (program, state, event) => {
    const { commands, ...next } = advance(program, state, event);
    const moved = commands.map((command) =>
      command.kind === 'dispatch-segment' ? { ...command, enters: false } : command,
    );
    return { ...next, commands: moved };
  },
  'takes what is to be undone for undone': takesForUndone,
  'leaves out the finally after a cancel': leavesOutFinally,
};

function takesForUndone(...[program, state, event]: Parameters<typeof advance>): ReturnType<typeof advance> {
  const next = advance(program, state, event);
  const undo = next.commands.find((command) => command.kind === 'undo-segment');
  if (undo?.kind !== 'undo-segment') return next;
  const after = takesForUndone(program, next.state, { kind: 'ended', path: undo.path, state: 'succeeded' });
  return { ...after, commands: [...next.commands.filter((command) => command !== undo), ...after.commands] };
}

function leavesOutFinally(...[program, state, event]: Parameters<typeof advance>): ReturnType<typeof advance> {
  const next = advance(program, state, event);
  const dispatch = next.commands.find((command) => command.kind === 'dispatch-segment');
  if (dispatch?.kind !== 'dispatch-segment' || dispatch.onlyFinally === undefined) return next;
  const { path, wave } = dispatch;
  // As they were when the run began.
  const pending = Object.values(next.state.counts).reduce((sum, count) => sum + count, 0);
  const counts = { ...noCounts, pending };
  const ended = { kind: 'segment-ended', path, counts, ...(wave === undefined ? {} : { wave: wave.number }) } as const;
  const after = leavesOutFinally(program, next.state, ended);
  return { ...after, commands: [...next.commands.filter((command) => command !== dispatch), ...after.commands] };
}

const noCounts = Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>;
