import type { Role } from '@fettle/contracts';
import { ALL_SPACES, decide, type Binding } from './policy.js';

/** Anybody with one of these roles, or named. */
export interface Approvers {
  readonly roles: readonly Role[];
  readonly principals: readonly string[];
}

export interface ApproverQuestion {
  readonly principal: {
    readonly id: string;
    readonly name: string;
    readonly kind: 'person' | 'service';
    readonly bindings: readonly Binding[];
  };
  readonly space: string;
  /** Of the step, and of its escalation once that is reached. */
  readonly approvers: readonly Approvers[];
  /** Those whose run it is. */
  readonly excluded: readonly { readonly id: string; readonly why: string }[];
}

export type ApproverDecision =
  | {
      readonly allowed: true;
      /** Null: on all targets. Otherwise each target of the run must be selected by at least one of these. */
      readonly selectors: readonly string[] | null;
    }
  | { readonly allowed: false; readonly why: string };

/**
 * Whether a principal may decide what a run asks for, by who he is alone; the caller holds the run's targets against the selectors.
 * A role counts as far as its binding goes. Whoever is named needs no role beyond one that lets him read the run. A service decides
 * only where it is named: a role is given to people.
 */
export function mayApprove({ principal, space, approvers, excluded }: ApproverQuestion): ApproverDecision {
  const own = excluded.find(({ id }) => id === principal.id);
  if (own !== undefined) return { allowed: false, why: `${own.why}, so that somebody else has to decide` };
  const selectors = new Set<string>();
  const isNamed = approvers.some(({ principals }) => principals.includes(principal.name));
  if (isNamed) {
    const reading = decide({ bindings: principal.bindings, permission: 'run:read', space });
    if (reading.allowed && reading.selectors === null) return { allowed: true, selectors: null };
    for (const selector of reading.selectors ?? []) selectors.add(selector);
  }
  if (principal.kind === 'person') {
    const roles = new Set<string>(approvers.flatMap((each) => each.roles));
    for (const binding of principal.bindings) {
      if (!roles.has(binding.role) || (binding.space !== ALL_SPACES && binding.space !== space)) continue;
      if (binding.selector === null) return { allowed: true, selectors: null };
      selectors.add(binding.selector);
    }
  }
  if (selectors.size > 0) return { allowed: true, selectors: [...selectors].sort() };
  if (isNamed) return { allowed: false, why: `${principal.name} is named, but may not read runs in space "${space}"` };
  return { allowed: false, why: `${principal.name} is not among those who may decide` };
}
