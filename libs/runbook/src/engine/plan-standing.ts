import type { PlanTarget } from './plan-request.js';

/** How far the run, or one of its targets, has come where the plan is: what it will never read, and whether it still goes on. */
export interface Standing {
  /** Steps that will yield nothing: skipped, or failed and passed over. */
  readonly silent: Set<string>;
  /** The step that is bound to fail, after which it goes no further. */
  stoppedBy: string | null;
  /** Steps that renew the asset's facts. */
  readonly factsAfter: readonly string[];
}

export interface TargetStanding {
  readonly target: PlanTarget;
  standing: Standing;
}

/** Everybody who comes to a step: the run itself, and its targets in the order of their ids. */
export interface Crowd {
  run: Standing;
  readonly targets: readonly TargetStanding[];
}

export function freshStanding(): Standing {
  return { silent: new Set(), stoppedBy: null, factsAfter: [] };
}

function copy(standing: Standing): Standing {
  return { ...standing, silent: new Set(standing.silent) };
}

/** The same crowd for a way that may or may not be gone. */
export function fork(crowd: Crowd): Crowd {
  return {
    run: copy(crowd.run),
    targets: crowd.targets.map(({ target, standing }) => ({ target, standing: copy(standing) })),
  };
}

/** The crowd without its stops: what comes after a failure that is handled, or in any case. */
export function forkOn(crowd: Crowd): Crowd {
  const on = (standing: Standing): Standing => ({ ...copy(standing), stoppedBy: null });
  return {
    run: on(crowd.run),
    targets: crowd.targets.map(({ target, standing }) => ({ target, standing: on(standing) })),
  };
}

/**
 * What is certain after a way that may have been gone: what was silent in it stays so either way, and facts may have changed.
 * `keepStops` for one that is gone for certain.
 */
export function join(into: Crowd, from: Crowd, keepStops: boolean): void {
  const merge = (a: Standing, b: Standing): Standing => ({
    silent: new Set([...a.silent, ...b.silent]),
    stoppedBy: a.stoppedBy ?? (keepStops ? b.stoppedBy : null),
    factsAfter: [...new Set([...a.factsAfter, ...b.factsAfter])],
  });
  into.run = merge(into.run, from.run);
  for (const [index, one] of into.targets.entries()) {
    const other = from.targets[index];
    if (other !== undefined) one.standing = merge(one.standing, other.standing);
  }
}

/** That these steps yield nothing, for the run and every target. */
export function silence(crowd: Crowd, stepIds: readonly string[]): void {
  for (const { silent } of [crowd.run, ...crowd.targets.map(({ standing }) => standing)]) {
    for (const id of stepIds) silent.add(id);
  }
}

/** That these steps are begun anew, so that nothing of an earlier iteration holds for them. */
export function unsilence(crowd: Crowd, stepIds: readonly string[]): void {
  for (const { silent } of [crowd.run, ...crowd.targets.map(({ standing }) => standing)]) {
    for (const id of stepIds) silent.delete(id);
  }
}
