import type { JsonObject } from '../json.js';
import type { EngineCommand, WaveReference } from './commands.js';
import { finallyLimitMs } from './finally-limit.js';
import { compileStep, decideStep } from './decide-step.js';
import type { PolledAction, TargetsNode } from './program-nodes.js';
import { failureError, firstWave } from './targets.js';
import { cancelled, ok, WalkBase, type Place, type Result } from './walk-base.js';

/** Mark of a run whose gate says that all of it is undone. */
export const UNDOES_ALL = '#undoes-all';

/** Code of a run that stopped between two waves, because what has to hold there did not. */
export const GATE_CLOSED = 'gate-closed';

/** What the journal calls the looks between two waves: `restart#gate2` is after the second. */
function gatePath(path: string, wave: WaveReference): string {
  return `${path}#gate${wave.number}`;
}

/** Segments: one at a time, in waves. */
export abstract class WalkTargets extends WalkBase {
  protected abstract poll(node: PolledAction, place: Place, path: string): Result;

  /** A segment could not begin because another one was at it. */
  protected waitsForTurn = false;

  protected targets(node: TargetsNode, place: Place, path: string): Result {
    const { draft } = this;
    if (draft.segment?.path === path) return this.segment(node, place, path);
    // Another segment has its turn.
    if (draft.segment !== null) {
      this.waitsForTurn = true;
      return place.isCancelling ? cancelled : 'pending';
    }
    // Targets that failed, or were never there, take no part in later segments.
    if (draft.counts.pending === 0) return ok;
    draft.ordinal += 1;
    if (node.hasRollback) {
      const { first, last } = node;
      const { prefix, item } = place;
      const known = this.#known(node, place);
      draft.undo = [...draft.undo, { kind: 'targets', path, prefix, item, ...known, first, last }];
    }
    return this.dispatch(node, place, path, firstWave(this.program, draft.counts));
  }

  protected dispatch(
    node: TargetsNode,
    place: Place,
    path: string,
    wave: { readonly number: number; readonly of: number } | undefined,
  ): 'pending' {
    const { draft } = this;
    draft.segment = { path, ...(wave === undefined ? {} : { wave }) };
    const enters = draft.position !== node.first;
    draft.position = node.first;
    return this.open(place, this.#dispatchOf(node, place, path, { enters, wave }));
  }

  /** Targets that were stopped in the middle of a `try` go through its `finally`, whatever else is cancelled. */
  #onlyFinally(node: TargetsNode, place: Place, path: string, wave: WaveReference | undefined): 'pending' {
    const { draft, program } = this;
    draft.segment = { path, ...(wave === undefined ? {} : { wave }), isStopping: true };
    const limitMs = finallyLimitMs(program, draft, node.finallySeconds ?? 0);
    const dispatch = this.#dispatchOf(node, place, path, { enters: false, wave });
    return this.open({ ...place, isShielded: true }, { ...dispatch, onlyFinally: { limitMs } });
  }

  #dispatchOf(
    node: TargetsNode,
    place: Place,
    path: string,
    { enters, wave }: { readonly enters: boolean; readonly wave: WaveReference | undefined },
  ): Extract<EngineCommand, { kind: 'dispatch-segment' }> {
    return {
      kind: 'dispatch-segment',
      path,
      prefix: place.prefix,
      item: place.item,
      ...this.#known(node, place),
      stepIds: node.steps.map((step) => step.id),
      first: node.first,
      last: node.last,
      enters,
      ordinal: this.draft.ordinal,
      isLast: node.isLast,
      ...(wave === undefined ? {} : { wave }),
    };
  }

  /** What the steps of the segment read of steps of the run: the outputs that stand when it is dispatched. */
  #known({ reads = [] }: TargetsNode, place: Place): { readonly outputs?: JsonObject } {
    if (reads.length === 0) return {};
    const steps = this.variables(place)['steps'] as JsonObject;
    const outputs = Object.fromEntries(reads.filter((id) => Object.hasOwn(steps, id)).map((id) => [id, steps[id]!]));
    return Object.keys(outputs).length === 0 ? {} : { outputs };
  }

  /** After a wave comes the next one, perhaps after a wait; after the last, and where too many targets failed, the way goes on. */
  protected segment(node: TargetsNode, place: Place, path: string): Result {
    const { draft } = this;
    const { wave, isSoaking, isAtGate, isStopping } = draft.segment ?? {};
    if (isAtGate === true && wave !== undefined) return this.#atGate(node, place, path, wave);
    const answer = this.answer;
    const isOurs = answer?.path === path && (answer.kind === 'ended' || answer.wave === wave?.number);
    const isExpected = isSoaking === true ? answer?.kind !== 'segment-ended' : answer?.kind === 'segment-ended';
    // Nothing cancels what a cancel has begun.
    if (answer === null || !isOurs || !isExpected) return isStopping ? 'pending' : this.stillOpen(place, path);
    this.answer = null;
    const { isCancelling } = draft.open[path] ?? {};
    delete draft.open[path];
    if (answer.kind === 'segment-ended') draft.counts = answer.counts;
    if (isStopping === true) return this.leave(cancelled, null);
    if (isCancelling === true || place.isCancelling) {
      // One that came to its end all the same has no target left.
      const mayBeInside = answer.kind === 'segment-ended' && answer.isCancelled === true;
      return mayBeInside && node.finallySeconds !== undefined
        ? this.#onlyFinally(node, place, path, wave)
        : this.leave(cancelled, null);
    }
    const next = { number: (wave?.number ?? 0) + 1, of: wave?.of ?? 0 };
    if (answer.kind !== 'segment-ended') return this.#afterSoak(node, place, path, next);
    const error = failureError(this.program, draft.counts);
    if (error !== undefined) return this.leave({ state: 'failed', error }, node.last + 1);
    // Nothing is pending any more: the targets of later waves left the run in an earlier segment.
    if (wave === undefined || wave.number >= wave.of || draft.counts.pending === 0) {
      return this.leave(ok, node.last + 1);
    }
    const soakMs = this.program.rollout?.soakMs ?? 0;
    if (answer.isEmpty === true) return this.dispatch(node, place, path, next);
    if (soakMs === 0) return this.#afterSoak(node, place, path, next);
    draft.segment = { path, wave, isSoaking: true };
    return this.open(place, { kind: 'wait', path, wave: wave.number, durationMs: soakMs });
  }

  /** The next wave, or what has to hold before it. */
  #afterSoak(node: TargetsNode, place: Place, path: string, next: WaveReference): Result {
    const { draft, program } = this;
    const gate = program.rollout?.gate;
    if (gate === undefined) return this.dispatch(node, place, path, next);
    const wave = { number: next.number - 1, of: next.of };
    draft.segment = { path, wave, isAtGate: true };
    const reason = gate.require === null ? null : this.#refusal(gate.require, place);
    return reason === null ? this.#atGate(node, place, path, wave) : this.#closed(node, place, path, { wave, reason });
  }

  /** Looks until the gate opens, and goes on with the next wave; where it stays closed, no further wave begins. */
  #atGate(node: TargetsNode, place: Place, path: string, wave: WaveReference): Result {
    const { draft, program } = this;
    const at = gatePath(path, wave);
    const look = program.rollout?.gate?.look ?? null;
    // It reads what belongs to the run, not to the place that the segment stands in.
    const top: Place = { ...place, prefix: '', item: {}, error: null };
    const result = look === null ? ok : this.poll(look, top, at);
    if (result === 'pending') return result;
    delete draft.marks[at];
    delete draft.outputs[at];
    if (result.state === 'cancelled') return this.leave(cancelled, null);
    if (result.state !== 'ok') {
      return this.#closed(node, place, path, { wave, reason: result.error?.message ?? 'it cannot be looked at' });
    }
    this.note(at, 'gate-passed', { wave: wave.number, of: wave.of });
    return this.dispatch(node, place, path, { number: wave.number + 1, of: wave.of });
  }

  /** Why a condition does not hold; null: it does. */
  #refusal(require: string, place: Place): string | null {
    const top = { ...place, prefix: '', item: {}, error: null };
    const decision = decideStep(compileStep({ if: require, with: {} }, 'run'), this.variables(top));
    if (decision.kind === 'run') return null;
    return decision.kind === 'fail' ? decision.error.message : `\`${require}\` is false`;
  }

  /** The gate stays closed: the end of the segment, unless the runbook says that it is only told. */
  #closed(
    node: TargetsNode,
    place: Place,
    path: string,
    { wave, reason }: { readonly wave: WaveReference; readonly reason: string },
  ): Result {
    const at = gatePath(path, wave);
    const onFailure = this.program.rollout?.gate?.onFailure ?? 'stop';
    this.note(at, 'gate-closed', { wave: wave.number, of: wave.of, reason, onFailure });
    if (onFailure === 'continue') return this.dispatch(node, place, path, { number: wave.number + 1, of: wave.of });
    if (onFailure === 'rollback') this.draft.marks[UNDOES_ALL] = true;
    const message = `the gate after wave ${wave.number} of ${wave.of} did not open, so no further wave was dispatched: ${reason}`;
    // Where targets stand differs: those of later waves did not even begin.
    return this.leave({ state: 'failed', error: { code: GATE_CLOSED, message, stepId: at } }, null);
  }

  protected leave<Left extends Result>(outcome: Left, position: number | null): Left {
    this.draft.segment = null;
    this.draft.position = position;
    return outcome;
  }
}
