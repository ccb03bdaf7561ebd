import type { EngineCommand, EngineEvent, RunError } from './commands.js';
import type { Program } from './program-nodes.js';
import { draftOf, type Draft, type EngineState, type Ending, type Outcome } from './state.js';
import { targetsError } from './targets.js';
import { toUndo, undone, unwind } from './unwind.js';
import { Walk } from './walk.js';

export interface Advance {
  readonly state: EngineState;
  /** In the order in which they are to be carried out. */
  readonly commands: readonly EngineCommand[];
}

/**
 * What to do next. Pure: the same program and events give the same commands. An event that is not waited for (a repeated one,
 * one of another step, any after the end) changes nothing, so that delivery may be at least once.
 */
export function advance(program: Program, state: EngineState, event: EngineEvent): Advance {
  if (state.phase === 'ended') return { state, commands: [] };
  const draft = draftOf(state);
  switch (event.kind) {
    case 'cancel-requested':
    case 'timed-out':
      if (draft.stop !== null) return { state, commands: [] };
      draft.stop = event.kind === 'timed-out' ? 'timed-out' : 'cancelled';
      break;
    case 'started':
      if (draft.phase !== 'created') return { state, commands: [] };
      draft.phase = 'running';
      draft.inputs = event.inputs;
      draft.counts = event.targetCounts;
      draft.run = event.run ?? {};
      break;
    default:
      if (!Object.hasOwn(draft.open, event.path)) return { state, commands: [] };
  }
  if (draft.unwinding !== null) {
    undone(draft, event);
    return 'path' in event ? unwound(program, draft, []) : { state: draft, commands: [] };
  }
  if (draft.phase === 'created') return finished(program, new Walk(program, draft, null), { state: 'cancelled' });
  const walk = new Walk(program, draft, 'path' in event ? event : null);
  const outcome = walk.run();
  return outcome === 'pending' ? { state: draft, commands: walk.commands } : finished(program, walk, outcome);
}

/** Undoes what is to be undone, and then finishes. */
function finished(program: Program, walk: Walk, outcome: Outcome): Advance {
  const { draft } = walk;
  const end = ending(program, walk, outcome);
  draft.unwinding = { ending: end, left: toUndo(program, draft, end), undone: [], failed: [] };
  return unwound(program, draft, walk.commands);
}

function unwound(program: Program, draft: Draft, before: readonly EngineCommand[]): Advance {
  const commands = [...before, ...unwind(program, draft)];
  const { unwinding } = draft;
  if (unwinding === null || unwinding.left.length > 0) return { state: draft, commands };
  draft.phase = 'ended';
  const { ending: end, undone: done, failed } = unwinding;
  const report = done.length + failed.length === 0 ? {} : { rollback: { undone: done, failed } };
  return { state: draft, commands: [...commands, { kind: 'finish', ...end, ...report }] };
}

function ending(program: Program, walk: Walk, outcome: Outcome): Ending {
  const { draft } = walk;
  const rest = { isComplete: false, outputs: null };
  // A cancel that came when nothing was left to do changes nothing.
  if (draft.stop !== null && outcome.state !== 'ok') {
    const late = { code: 'run-timed-out', message: `the run took longer than its ${program.timeoutMs / 1000} s` };
    const error = draft.stop === 'timed-out' ? late : outcome.error;
    return { state: draft.stop, ...withError(error), ...rest, summary: walk.summary() };
  }
  if (outcome.state === 'failed' || outcome.state === 'cancelled') {
    return { state: 'failed', ...withError(outcome.error), ...rest, summary: walk.summary() };
  }
  const outputs = walk.outputs();
  const error = targetsError(program, draft.counts) ?? outputs.error;
  const state = error === undefined ? 'succeeded' : 'failed';
  return { state, ...withError(error), isComplete: true, outputs: outputs.value, summary: walk.summary() };
}

function withError(error: RunError | undefined): { error?: RunError } {
  return error === undefined ? {} : { error };
}
