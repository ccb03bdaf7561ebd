import { FettleError, type Plan, type PlannedNode, type PlannedVariant, type RunbookSpec } from '@fettle/contracts';
import { waveEnds, waveSizes } from '../rollout/wave-arithmetic.js';
import { planDigest, targetSetDigest } from './plan-digest.js';
import { PlanWalk } from './plan-flow.js';
import type { Walk } from './plan-frame.js';
import type { PlanRequest } from './plan-request.js';
import { planWaveGate } from './plan-gate.js';
import { freshStanding } from './plan-standing.js';
import { credentialsIn } from './plan-step.js';
import { plannedWants } from './plan-wants.js';

/** Above this number of targets a plan is not made. */
export const MAX_PLANNED_TARGETS = 20_000;

/**
 * What a run would do, without doing it: for every step and target the argument vectors, files and calls from the action's own
 * `render`, equal ones once. The same request gives the same plan and digest. Throws FettleError `too-many-targets` above 20,000
 * targets, `limit-exceeded` where there is too much to show, and `invalid-document` for an action that is not known.
 */
export function planProgram(request: PlanRequest): Plan {
  const walk = planSlices(request);
  for (;;) {
    const next = walk.next();
    if (next.done === true) return next.value;
  }
}

/** The same with breaths in between, for who serves others meanwhile. */
export function* planSlices(request: PlanRequest): Walk<Plan> {
  const { spec, inputs, targets, version } = request;
  if (targets.length > MAX_PLANNED_TARGETS) {
    throw new FettleError({
      code: 'too-many-targets',
      message: `A plan shows at most ${MAX_PLANNED_TARGETS} targets, these are ${targets.length}.`,
      remedy: 'Narrow the targets with `--on`.',
    });
  }
  const sorted = [...targets].sort((a, b) => (a.assetId < b.assetId ? -1 : a.assetId > b.assetId ? 1 : 0));
  const walk = new PlanWalk(request);
  const crowd = { run: freshStanding(), targets: sorted.map((target) => ({ target, standing: freshStanding() })) };
  walk.found.runbooks.set(request.runbook, version);
  const frame = {
    spec,
    inputs,
    prefix: '',
    item: null,
    laterInputs: {},
    laterItems: {},
    crowd,
    callers: [request.runbook],
  };
  const steps = yield* walk.steps(spec.steps, frame);
  notifications(walk, spec);
  const gate = planWaveGate(walk, frame);
  const body = {
    format: 1 as const,
    runbook: { space: request.space, name: request.runbook, version },
    inputs,
    closure: {
      runbooks: byName(walk.found.runbooks).map(([name, digest]) => ({ name, version: digest })),
      actions: byName(walk.found.actions).map(([name, number]) => ({ name, version: number })),
    },
    credentials: byName(walk.found.credentials).map(([name, users]) => ({
      name,
      version: request.credentialVersion?.(name) ?? null,
      usedBy: [...users].sort(),
    })),
    targets: {
      count: sorted.length,
      digest: targetSetDigest(sorted.map(({ assetId }) => assetId)),
      undetermined: request.undetermined ?? 0,
      items: sorted.map(({ assetId, name }) => ({ assetId, name })),
    },
    ...wavesOf(request, sorted.length),
    ...(gate === null ? {} : { waveGate: gate }),
    steps,
    approvals: walk.found.approvals,
    capacity: { wants: [...plannedWants(walk, spec.capacity, '', frame), ...walk.found.capacity], conflicts: [] },
  };
  return { ...body, digest: planDigest(body) };
}

/** Those who are told of the run: by which versions of actions, and with which credentials. */
function notifications(walk: PlanWalk, spec: RunbookSpec): void {
  for (const { uses, with: input } of spec.notify ?? []) {
    const action = walk.action(uses, 'notify');
    const names = credentialsIn(action, input).filter((name) => !name.includes('${{'));
    for (const name of names) walk.opens(name, 'notify');
  }
}

function byName<Value>(map: ReadonlyMap<string, Value>): readonly (readonly [string, Value])[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function wavesOf({ spec }: PlanRequest, count: number): Pick<Plan, 'waves'> {
  const { waves } = spec.rollout;
  if (waves === undefined) return {};
  return { waves: waveSizes(waveEnds(waves, count)).map((targets, index) => ({ number: index + 1, targets })) };
}

/** The nodes directly inside of a planned node, in the order in which they stand in it. */
export function plannedInside(node: PlannedNode): readonly PlannedNode[] {
  const handler = node.handler?.steps ?? [];
  switch (node.kind) {
    case 'parallel':
    case 'choose':
      return [...node.branches.flatMap((branch) => branch.steps), ...handler];
    case 'for-each':
      return [...node.iterations.flatMap((iteration) => iteration.steps), ...handler];
    case 'call':
      return [...node.steps, ...handler];
    case 'try':
      return [...node.body, ...(node.catch ?? []), ...(node.finally ?? []), ...handler];
    default:
      return handler;
  }
}

/** Every node of a plan, each before what is inside of it. */
export function* walkPlan(nodes: readonly PlannedNode[]): Generator<PlannedNode> {
  for (const node of nodes) {
    yield node;
    yield* walkPlan(plannedInside(node));
  }
}

/** How many planned steps have each outcome, and each effect among those that run: the head of a printed plan. */
export function planSummary(plan: Pick<Plan, 'steps'>): {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly effects: Readonly<Record<string, number>>;
} {
  const outcomes: Record<string, number> = {};
  const effects: Record<string, number> = {};
  const count = (variant: PlannedVariant): void => {
    outcomes[variant.outcome] = (outcomes[variant.outcome] ?? 0) + variant.count;
    if (variant.outcome === 'run') effects[variant.effect] = (effects[variant.effect] ?? 0) + variant.count;
  };
  for (const node of walkPlan(plan.steps)) if (node.kind === 'action') node.variants.forEach(count);
  return { outcomes, effects };
}
