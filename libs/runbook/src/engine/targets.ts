import { countFailures, failureStates, targetStates, type TargetCounts } from '@fettle/contracts';
import { failureLimit, waveEnds } from '../rollout/wave-arithmetic.js';
import type { RunError, WaveReference } from './commands.js';
import type { Program, ProgramNode } from './program-nodes.js';

/** The first wave of a segment; undefined: the runbook has none. */
export function firstWave(program: Program, counts: TargetCounts): WaveReference | undefined {
  const waves = program.rollout?.waves ?? null;
  return waves === null ? undefined : { number: 1, of: waveEnds(waves, countTargets(counts)).length };
}

export function countTargets(counts: TargetCounts): number {
  return targetStates.reduce((sum, state) => sum + counts[state], 0);
}

/** Why a rollout stops: more targets failed than it bears. */
export function failureError(program: Program, counts: TargetCounts): RunError | undefined {
  const total = countTargets(counts);
  const limit = failureLimit(program.rollout?.maxFailures, total);
  const failures = countFailures(counts);
  if (limit === null || failures <= limit) return undefined;
  const list = failureStates.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`);
  const left = counts.pending + counts.cancelled;
  const rest = left === 0 ? '' : `; ${left} more went no further`;
  const message = `${failures} of ${total} targets failed (${list.join(', ')}), more than the limit of ${limit}${rest}`;
  return { code: 'failure-limit', message };
}

/** Why the targets keep a run from success that has gone its way: any that did not come through. */
export function targetsError(program: Program, counts: TargetCounts): RunError | undefined {
  // A runbook of control steps only has no say over targets.
  if (!program.nodes.some(hasTargets)) return undefined;
  const through = new Set(['succeeded', 'skipped', 'pending']);
  const others = targetStates.filter((state) => !through.has(state) && counts[state] > 0);
  if (others.length === 0) return undefined;
  const bad = others.reduce((sum, state) => sum + counts[state], 0);
  const list = others.map((state) => `${counts[state]} ${state}`).join(', ');
  return { code: 'targets-failed', message: `${bad} of ${countTargets(counts)} targets did not succeed: ${list}` };
}

/** Whether steps on targets are in it, however deep. */
export function hasTargets(node: ProgramNode): boolean {
  return node.kind === 'targets' || childLists(node).some((nodes) => nodes.some(hasTargets));
}

/** The lists of nodes directly inside of a node. */
export function childLists(node: ProgramNode): readonly (readonly ProgramNode[])[] {
  switch (node.kind) {
    case 'parallel':
    case 'choose':
      return node.branches.map((branch) => branch.nodes);
    case 'for-each':
      return [node.nodes];
    case 'try':
      return [node.nodes, node.catch ?? [], node.finally ?? []];
    default:
      return [];
  }
}
