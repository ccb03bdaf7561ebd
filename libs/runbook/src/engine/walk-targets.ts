import type { TargetsNode } from './program-nodes.js';
import type { Outcome } from './state.js';
import { failureError, firstWave } from './targets.js';
import { cancelled, ok, WalkBase, type Place, type Result } from './walk-base.js';

/** Segments: one at a time, in waves. */
export abstract class WalkTargets extends WalkBase {
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
      draft.undo = [...draft.undo, { kind: 'targets', path, prefix, item, first, last }];
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
    return this.open(place, {
      kind: 'dispatch-segment',
      path,
      prefix: place.prefix,
      item: place.item,
      stepIds: node.steps.map((step) => step.id),
      first: node.first,
      last: node.last,
      enters,
      ordinal: draft.ordinal,
      isLast: node.isLast,
      ...(wave === undefined ? {} : { wave }),
    });
  }

  /** After a wave comes the next one, perhaps after a wait; after the last, and where too many targets failed, the way goes on. */
  protected segment(node: TargetsNode, place: Place, path: string): Result {
    const { draft } = this;
    const { wave, isSoaking } = draft.segment ?? {};
    const answer = this.answer;
    const isOurs = answer?.path === path && (answer.kind === 'ended' || answer.wave === wave?.number);
    const isExpected = isSoaking === true ? answer?.kind !== 'segment-ended' : answer?.kind === 'segment-ended';
    if (answer === null || !isOurs || !isExpected) return this.stillOpen(place, path);
    this.answer = null;
    const { isCancelling } = draft.open[path] ?? {};
    delete draft.open[path];
    if (answer.kind === 'segment-ended') draft.counts = answer.counts;
    if (isCancelling === true || place.isCancelling) return this.leave(cancelled, null);
    const next = { number: (wave?.number ?? 0) + 1, of: wave?.of ?? 0 };
    if (answer.kind !== 'segment-ended') return this.dispatch(node, place, path, next);
    const error = failureError(this.program, draft.counts);
    if (error !== undefined) return this.leave({ state: 'failed', error }, node.last + 1);
    // Nothing is pending any more: the targets of later waves left the run in an earlier segment.
    if (wave === undefined || wave.number >= wave.of || draft.counts.pending === 0) {
      return this.leave(ok, node.last + 1);
    }
    const soakMs = this.program.rollout?.soakMs ?? 0;
    if (soakMs === 0 || answer.isEmpty === true) return this.dispatch(node, place, path, next);
    draft.segment = { path, wave, isSoaking: true };
    return this.open(place, { kind: 'wait', path, wave: wave.number, durationMs: soakMs });
  }

  protected leave(outcome: Outcome, position: number | null): Outcome {
    this.draft.segment = null;
    this.draft.position = position;
    return outcome;
  }
}
