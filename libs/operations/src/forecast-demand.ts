import {
  isActionStep,
  walkSteps,
  type ActionContract,
  type CapacityWant,
  type RunbookSpec,
  type Step,
} from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import { repeatableEffects } from '@fettle/database';
import { renderTemplate } from '@fettle/expression';
import { mergeWants, readWants } from '@fettle/runbook';
import { effectOf } from '@fettle/runbook/source';

/** What a run of a runbook would take up, as far as its document and inputs tell. */
export interface Demand {
  /** Null: it changes no asset, so it takes no lock. */
  readonly lock: 'exclusive' | 'shared' | null;
  /** Key -> units: what the run holds, and the most that one of its steps takes beside it. */
  readonly wants: ReadonlyMap<string, number>;
  /** Keys that only the run itself will know. */
  readonly unknownKeys: readonly string[];
}

export function demandOf(spec: RunbookSpec, inputs: Readonly<Record<string, unknown>>): Demand {
  const steps = [spec.steps, ...Object.values(spec.handlers ?? {})].flatMap((list) => [...walkSteps(list)]);
  const unknownKeys = new Set<string>();
  const read = (wants: readonly CapacityWant[] | undefined): ReadonlyMap<string, number> =>
    wantsOf(wants, inputs, unknownKeys);
  const all = new Map(read(spec.capacity));
  const most = new Map<string, number>();
  for (const step of steps)
    for (const [key, units] of read(step.capacity)) most.set(key, Math.max(most.get(key) ?? 0, units));
  for (const [key, units] of most) all.set(key, (all.get(key) ?? 0) + units);
  return {
    lock: steps.some(changesTargets) ? (spec.assetLock ?? 'exclusive') : null,
    wants: all,
    unknownKeys: [...unknownKeys],
  };
}

function wantsOf(
  wants: readonly CapacityWant[] | undefined,
  inputs: Readonly<Record<string, unknown>>,
  unknownKeys: Set<string>,
): ReadonlyMap<string, number> {
  const known = (wants ?? []).flatMap((want) => {
    const { key, units } = typeof want === 'string' ? { key: want, units: 1 } : want;
    try {
      return readWants([{ key: renderTemplate(key, 'run', { inputs }), units }]);
    } catch {
      // It reads what only the run will know, or comes to no key: said, and left out.
      unknownKeys.add(key);
      return [];
    }
  });
  return new Map(mergeWants(known).map(({ key, units }) => [key, units]));
}

/** An action on targets that is not harmless to do twice; where that hangs on an expression, it may be one. */
function changesTargets(step: Step): boolean {
  // What a called runbook does is not looked into: it may change what it inherits.
  if ('call' in step) return step.call.targets === 'inherit';
  if (!isActionStep(step) || !Object.hasOwn(actionContracts, step.uses)) return false;
  const action: ActionContract = actionContracts[step.uses as keyof typeof actionContracts];
  if (action.scope !== 'target') return false;
  const effect = effectOf(step, action);
  return effect === null || !repeatableEffects.has(effect);
}
