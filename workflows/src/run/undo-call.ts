import type { UndoneCall } from '@fettle/activities';
import { undoCommand, type EngineEvent, type Undo, type UndoReach } from '@fettle/runbook';
import { local, remote } from './activities.js';
import { runControl } from './control-step.js';
import type { CommandOf, Work } from './work.js';

/** The run that rolls back, and what of called runs is undone with it. */
interface Rollback {
  readonly run: Work;
  readonly which: UndoReach;
}

/**
 * Undoes what the run did that a step called: all that it began, in reverse order, and so on down. That run has ended and stays as it
 * ended; what is undone stands in its journal. After the loss of a worker each activity finds what was undone before; the whole of it
 * goes on in one execution of the workflow.
 */
export async function undoCall(run: Work, command: CommandOf<'undo-call'>): Promise<EngineEvent> {
  const { path, which } = command;
  const end = await undoCalled({ run, which }, run.runId, path);
  return {
    ...{ kind: 'ended', path, state: end.state },
    ...(end.error === null ? {} : { error: { code: end.error.code, message: end.error.message } }),
  };
}

/** `path`: of the step of that run that called, with `#undo` at its end. */
async function undoCalled(rollback: Rollback, runId: string, path: string): Promise<UndoneCall> {
  const call = { runId, path: path.replace(/#undo$/, '') };
  const begun = await local.beginCallUndo({ ...call, which: rollback.which });
  if (begun.kind === 'ended') return begun.end;
  const undone: string[] = [];
  const failed: string[] = [...begun.failed];
  for (const one of [...begun.undo].reverse()) {
    const state = await undoOne(rollback, begun, one);
    if (state === 'succeeded') undone.push(one.path);
    else if (state !== 'skipped') failed.push(one.path);
  }
  return local.endCallUndo({ ...call, childRunId: begun.childRunId, undone, failed });
}

type Called = Extract<Awaited<ReturnType<typeof local.beginCallUndo>>, { kind: 'begun' }>;

async function undoOne({ run, which }: Rollback, { childRunId, space }: Called, one: Undo): Promise<string> {
  const command = undoCommand(one, which);
  if ('notUndone' in command) {
    await local.noteNotUndone({ runId: childRunId, path: one.path, error: command.notUndone });
    return 'failed';
  }
  switch (command.kind) {
    case 'undo-segment': {
      const { prefix, item, outputs, first, last } = command;
      const scope = { runId: run.runId };
      const known = outputs === undefined ? {} : { outputs };
      const input = { runId: childRunId, prefix, item, ...known, first, last, which, scope };
      const { state, targets } = await remote.undoSegment(input);
      return targets === 0 ? 'skipped' : state;
    }
    case 'undo-call':
      return (await undoCalled({ run, which }, childRunId, command.path)).state;
    case 'run-control': {
      const owner = { runId: childRunId, claimed: { space }, noticeCancel: () => undefined, hasEnded: true } as const;
      const event = await runControl(owner, command, { isCancelling: false });
      return event.kind === 'ended' ? event.state : 'failed';
    }
  }
}
