import { STOPPED, type TargetState } from '@fettle/contracts';
import type { EngineCommand } from '../engine/commands.js';
import { finallyLeft, nextAfterStop } from '../engine/target-way.js';
import type { TargetCode } from '../engine/target-code.js';
import type { SegmentHost } from './simulated-segment.js';
import { isOpen, type TargetRow } from './targets.js';

type Dispatch = Extract<EngineCommand, { kind: 'dispatch-segment' }>;

/** A cancel has stopped it, and it goes through `finally`. */
export function isStopped({ failing }: TargetRow): boolean {
  return (failing & STOPPED) !== 0;
}

/** Targets of the wave that have not left the segment; of one that is dispatched for `finally` alone, those that go there. */
export function openTargets(
  host: Pick<SegmentHost, 'targets'>,
  { first, last, wave, onlyFinally }: Dispatch,
): TargetRow[] {
  return host.targets.filter(
    (target) =>
      isOpen(target) &&
      (wave === undefined || target.wave === wave.number) &&
      (onlyFinally === undefined || isStopped(target)) &&
      target.stepIndex >= first &&
      target.stepIndex <= last,
  );
}

/** Sends the targets of a segment that was cancelled to their `finally`, as far as they had begun with what it belongs to. */
export function stopTargets(host: Pick<SegmentHost, 'targets' | 'codes' | 'clock'>, command: Dispatch): void {
  for (const target of openTargets(host, { ...command, onlyFinally: undefined })) {
    if (isStopped(target)) continue;
    const code = host.codes[target.stepIndex]!;
    const next = nextAfterStop(code, target.failing, target.begun.has(`${command.prefix}${code.path}`));
    if (next === null) continue;
    const isHere = next.index === target.stepIndex;
    Object.assign(target, { stepIndex: next.index, failing: next.failing });
    if (!isHere) Object.assign(target, { generation: 1, dueAtMs: host.clock.nowMs });
  }
}

/** States in which a target goes no further, `finally` or not. */
const noFurther: ReadonlySet<string> = new Set(['unreachable', 'quarantined', 'unknown', 'cancelled']);

/** The end of a target in the journal, after what of its `finally` it did not come to. `after`: the state of its last attempt. */
export function endTarget(
  host: Pick<SegmentHost, 'codes' | 'append'>,
  target: TargetRow,
  code: TargetCode,
  end: { readonly prefix: string; readonly state: TargetState; readonly after: string | null },
): void {
  const { prefix, state, after } = end;
  target.state = state;
  const left = after === null || noFurther.has(after) ? finallyLeft(host.codes, code, after !== null) : [];
  if (left.length > 0) {
    const data = { state, left: left.map((path) => `${prefix}${path}`) };
    host.append({ kind: 'finally-not-run', target: target.name, data });
  }
  host.append({ kind: 'target-ended', target: target.name, data: { state } });
}

/** Says of a target that is open at the end of its run what of a `finally` it has not come to. */
export function tellLeftOpen(host: Pick<SegmentHost, 'codes' | 'append'>, target: TargetRow): void {
  const code = host.codes[target.stepIndex];
  if (code === undefined) return;
  // Of earlier iterations there are ends only.
  const isAtIt = [...target.begun].some(
    ([path, { state }]) => state === null && path.replace(/^.*\]\//, '') === code.path,
  );
  const hasBegun = target.isClaimed || target.generation > 1 || isAtIt;
  const left = finallyLeft(host.codes, code, hasBegun);
  if (left.length === 0) return;
  host.append({ kind: 'finally-not-run', target: target.name, data: { state: 'cancelled', left: [...left] } });
}
