import { STOPPED } from '@fettle/contracts';
import type { Finally, Jump, StopJump, TargetCode } from './target-code.js';

/**
 * Where a target goes after a step that has come to its end. `failing`: the failures that are put off, as `Jump` says, and `STOPPED`
 * where it is on its way through what has to be done after a cancel.
 */
export type TargetNext =
  | { readonly kind: 'go'; readonly index: number; readonly failing: number }
  | { readonly kind: 'end'; readonly state: 'failed' | 'cancelled' };

/** After success, a skip, or a failure that `onError: continue` passes over. */
export function nextAfterSuccess(code: TargetCode, failing: number): TargetNext {
  return arrive(code, code.next, failing);
}

/** After the last attempt has failed for certain. */
export function nextAfterFailure(code: TargetCode, failing: number): TargetNext {
  if (code.step.onError === 'continue') return nextAfterSuccess(code, failing);
  return jump(code, code.onFailure, failing);
}

/**
 * Where a target goes that a cancel stops at a step: to the nearest `finally` around it, past any `catch`; where it stands in one, it
 * stays. Null: there is nothing to put in order. `hasBegun`: with the very step at which it stands.
 */
export function nextAfterStop(
  code: TargetCode,
  failing: number,
  hasBegun: boolean,
): { readonly index: number; readonly failing: number } | null {
  if (code.finallys.length > 0) return { index: code.index, failing: failing | STOPPED };
  const stop = begunStop(code, hasBegun);
  return stop === null ? null : { index: stop.index, failing: STOPPED };
}

/** Paths of the steps of `finally` that are left to a target which goes no further than this step. `hasBegun`: with this one, and it
 * comes to no end of it but the one that it has. */
export function finallyLeft(codes: readonly TargetCode[], code: TargetCode, hasBegun: boolean): readonly string[] {
  const top = topFinally(code);
  let stop = top === undefined ? begunStop(code, hasBegun) : top.stop;
  const from = top === undefined ? -1 : code.index + (hasBegun ? 1 : 0);
  const left: number[] = [];
  for (; stop !== null; stop = stop.outer) left.push(...stop.steps.filter((index) => index >= from));
  return left.map((index) => codes[index]!.path);
}

/** The innermost `try` around a step with a `finally`, unless the target stands before its first step. */
function begunStop(code: TargetCode, hasBegun: boolean): StopJump | null {
  let stop = code.onStop;
  while (stop !== null && code.index === stop.from && !hasBegun) stop = stop.outer;
  return stop;
}

/** The outermost `finally` that a step stands in. */
function topFinally(code: TargetCode): Finally | undefined {
  return code.finallys.at(-1);
}

function jump(code: TargetCode, to: Jump | null, failing: number): TargetNext {
  const top = topFinally(code);
  const isStopped = (failing & STOPPED) !== 0 && top !== undefined;
  if (isStopped && (to === null || to.depth <= top.depth)) return goOnStopped(top, true);
  if (to === null) return { kind: 'end', state: 'failed' };
  const { index, depth, isPutOff } = to;
  const kept = failing & (((1 << depth) - 1) | STOPPED);
  // What is put off by the `finally` that it comes to now is not raised before that has ended.
  return isPutOff ? { kind: 'go', index, failing: kept | (1 << depth) } : arrive(code, index, kept);
}

/** Whoever leaves a `finally` with a failure put off fails now. */
function arrive(code: TargetCode, index: number, failing: number): TargetNext {
  const left = code.finallys.find(({ depth, end }) => index >= end && (failing & (1 << depth)) !== 0);
  const top = topFinally(code);
  const isStopped = (failing & STOPPED) !== 0 && top !== undefined && index >= top.end;
  // One that stands in the outermost may still be caught in there.
  if (isStopped && (left === undefined || left === top)) return goOnStopped(top, left === top);
  return left === undefined ? { kind: 'go', index, failing } : jump(code, left.to, failing & ~(1 << left.depth));
}

/** Behind a `finally` a stopped target goes to that of the `try` around it, and ends behind the last one. */
function goOnStopped({ depth, stop }: Finally, hasFailed: boolean): TargetNext {
  const outer = stop?.outer ?? null;
  if (outer === null) return { kind: 'end', state: hasFailed ? 'failed' : 'cancelled' };
  return { kind: 'go', index: outer.index, failing: STOPPED | (hasFailed ? 1 << depth : 0) };
}
