import type { Plan, PlannedNode } from '@fettle/contracts';
import { walkPlan } from '@fettle/runbook/source';
import { plural } from '../../output/text.js';

/** Paths that a message names. */
const MAX_NAMED = 5;

/** What of a plan could not be rendered, in one line for a person; null: everything could, or is not known yet. */
export function notRenderedText(plan: Pick<Plan, 'steps' | 'waveGate'>): string | null {
  const paths = new Set<string>();
  const targets = new Set<string>();
  for (const node of walkPlan(plan.steps)) {
    const names = failingTargets(node);
    if (names === null) continue;
    paths.add(node.path);
    for (const name of names) targets.add(name);
  }
  if (plan.waveGate?.look?.outcome === 'fail') paths.add('the gate of its waves');
  if (paths.size === 0) return null;
  const on = targets.size === 0 ? '' : ` on ${plural(targets.size, 'target')}`;
  const more = paths.size > MAX_NAMED ? `, and ${paths.size - MAX_NAMED} more` : '';
  const named = [...paths].slice(0, MAX_NAMED).join(', ');
  return `it cannot be told what would be done${on}, because it could not be rendered: ${named}${more}; a run fails there`;
}

/** Null: it can be rendered; empty: it cannot, and is done once for the run. */
function failingTargets(node: PlannedNode): readonly string[] | null {
  if (node.kind === 'action') {
    const undo = node.rollback?.kind === 'step' ? node.rollback.variants : [];
    const failing = [...node.variants, ...undo].filter(({ outcome }) => outcome === 'fail');
    return failing.length === 0 ? null : failing.flatMap((variant) => variant.targets);
  }
  const isLookFailing = node.kind === 'wait' && node.look?.outcome === 'fail';
  return node.gate.outcome === 'fail' || isLookFailing ? [] : null;
}
