import {
  type ApprovalStep,
  type CallStep,
  type ChooseStep,
  type ForEachStep,
  type ParallelStep,
  type PlannedApproval,
  type PlannedCall,
  type PlannedChoose,
  type PlannedForEach,
  type PlannedGate,
  type PlannedNode,
  type PlannedParallel,
  type PlannedTry,
  type PlannedWait,
  type TryStep,
  type WaitStep,
} from '@fettle/contracts';
import { evaluateSelector, parseSelector } from '@fettle/expression';
import { type JsonObject, type JsonValue } from '../json.js';
import { compileStep } from './decide-step.js';
import { readItems, type Items } from './iterations.js';
import { errorOf, idsOf, innerIds, type Base, type Frame, type Parsed, type Walk, type Walker } from './plan-frame.js';
import { planWaveGate } from './plan-gate.js';
import { calledKey, type PlannedRunbook, type PlanTarget } from './plan-request.js';
import { fork, forkOn, freshStanding, join, silence, unsilence } from './plan-standing.js';
import {
  planCondition,
  planStep,
  readsLater,
  renderPartly,
  type Known,
  type LaterNames,
  type PartlyRendered,
} from './plan-step.js';
import { targetSetDigest } from './plan-digest.js';

type Gated = Base & { readonly gate: PlannedGate };

/** Runbooks that call each other further down are not followed. */
const MAX_CALLS = 8;

export function* planParallel(
  walk: Walker,
  step: ParallelStep,
  base: Gated,
  isClosed: boolean,
  frame: Frame,
): Walk<PlannedParallel> {
  const branches: { name: string; steps: PlannedNode[] }[] = [];
  const after = fork(frame.crowd);
  if (!isClosed) {
    for (const name of Object.keys(step.parallel).sort()) {
      // One branch knows nothing of the others.
      const crowd = fork(frame.crowd);
      branches.push({ name, steps: yield* walk.steps(step.parallel[name] ?? [], { ...frame, crowd }) });
      join(after, crowd, true);
    }
    join(frame.crowd, after, true);
  }
  return { kind: 'parallel', ...base, failFast: step.failFast, branches };
}

export function* planForEach(
  walk: Walker,
  step: ForEachStep,
  base: Gated,
  isClosed: boolean,
  frame: Frame,
): Walk<PlannedForEach> {
  const { as, concurrency, steps } = step.forEach;
  const node = { kind: 'for-each' as const, ...base, as, concurrency, knownAfter: [], iterations: [] };
  if (isClosed) return node;
  const items = itemsOf(walk, step, frame);
  if ('error' in items) {
    frame.crowd.run.stoppedBy ??= step.id;
    return { ...node, gate: { outcome: 'fail', error: items.error } };
  }
  const inner = innerIds(step);
  if ('knownAfter' in items) {
    const crowd = fork(frame.crowd);
    unsilence(crowd, inner);
    const prefix = `${frame.prefix}${step.id}[*]/`;
    // What the item is nobody knows: what reads it is known after the same steps.
    const planned = yield* walk.steps(steps, {
      ...frame,
      prefix,
      crowd,
      item: frame.item ?? {},
      laterItems: { ...frame.laterItems, [as]: items.knownAfter },
    });
    join(frame.crowd, crowd, false);
    return { ...node, knownAfter: items.knownAfter, iterations: [{ key: null, item: null, steps: planned }] };
  }
  const iterations: { key: string; item: unknown; steps: PlannedNode[] }[] = [];
  // Those that are under way beside a failing one go on.
  const goesOn = !step.forEach.failFast || concurrency > 1;
  const { stoppedBy } = frame.crowd.run;
  let failed: string | null = stoppedBy;
  for (const [index, item] of items.items.entries()) {
    const key = items.keys[index] ?? String(index);
    unsilence(frame.crowd, inner);
    const prefix = `${frame.prefix}${step.id}[${key}]/`;
    const planned = yield* walk.steps(steps, { ...frame, prefix, item: { ...frame.item, [as]: item } });
    iterations.push({ key, item, steps: planned });
    failed ??= frame.crowd.run.stoppedBy;
    if (goesOn) frame.crowd.run.stoppedBy = stoppedBy;
  }
  frame.crowd.run.stoppedBy = failed;
  return { ...node, iterations };
}

function itemsOf(
  walk: Walker,
  { id, forEach: { items } }: ForEachStep,
  frame: Frame,
): Parsed<Items | { knownAfter: string[] }> {
  const known = walk.runLevel(frame);
  const origin = 'forEach.items';
  const parsed = typeof items === 'string' ? walk.expression(items, origin) : walk.template(items, origin);
  if ('error' in parsed) return parsed;
  const expressions = 'expression' in parsed ? [parsed] : parsed.template.expressions;
  const later = expressions.flatMap(({ expression }) => readsLater(expression, known));
  if (later.length > 0) return { knownAfter: [...new Set(later)].sort() };
  try {
    return readItems({ id, items: items as string | readonly JsonValue[] }, known.variables);
  } catch (error) {
    return { error: errorOf(error) };
  }
}

export function* planChoose(
  walk: Walker,
  step: ChooseStep,
  base: Gated,
  isClosed: boolean,
  frame: Frame,
): Walk<PlannedChoose> {
  const branches: PlannedChoose['branches'][number][] = [];
  /** Whether an earlier branch is taken for sure, or may be. */
  let earlier: 'no' | 'perhaps' | 'yes' = isClosed ? 'yes' : 'no';
  for (const branch of step.choose) {
    const when = branch.when ?? null;
    const { taken, knownAfter, error } = chooses(walk, when, earlier, frame);
    if (error !== undefined) {
      frame.crowd.run.stoppedBy ??= step.id;
      return { kind: 'choose', ...base, gate: { outcome: 'fail', error }, branches };
    }
    const crowd = taken === 'yes' ? frame.crowd : fork(frame.crowd);
    const steps = taken === 'no' ? [] : yield* walk.steps(branch.steps, { ...frame, crowd });
    if (taken === 'no') silence(frame.crowd, branch.steps.flatMap(idsOf));
    if (taken === 'perhaps') join(frame.crowd, crowd, false);
    branches.push({ when, taken, knownAfter, steps });
    if (taken === 'yes') earlier = 'yes';
    else if (taken === 'perhaps' && earlier === 'no') earlier = 'perhaps';
  }
  return { kind: 'choose', ...base, branches };
}

function chooses(
  walk: Walker,
  when: string | null,
  earlier: 'no' | 'perhaps' | 'yes',
  frame: Frame,
): { taken: 'yes' | 'no' | 'perhaps'; knownAfter: string[]; error?: { code: string; message: string } } {
  if (earlier === 'yes') return { taken: 'no', knownAfter: [] };
  const otherwise = earlier === 'perhaps' ? ('perhaps' as const) : ('yes' as const);
  if (when === null) return { taken: otherwise, knownAfter: [] };
  const parsed = walk.expression(when, 'when');
  if ('error' in parsed) return { taken: 'no', knownAfter: [], error: parsed.error };
  const planned = planCondition(parsed.expression, walk.runLevel(frame));
  if (planned.truth === 'later') return { taken: 'perhaps', knownAfter: [...planned.knownAfter] };
  if (planned.truth !== 'undetermined') return { taken: planned.truth ? otherwise : 'no', knownAfter: [] };
  // It fails, but only where none of those before it is taken.
  if (earlier === 'perhaps') return { taken: 'perhaps', knownAfter: [] };
  const message = `the condition \`${when}\` cannot be determined`;
  return { taken: 'no', knownAfter: [], error: { code: 'condition-undetermined', message } };
}

export function* planTry(walk: Walker, step: TryStep, base: Gated, isClosed: boolean, frame: Frame): Walk<PlannedTry> {
  if (isClosed) return { kind: 'try', ...base, body: [], catch: null, finally: null };
  const tried = fork(frame.crowd);
  const body = yield* walk.steps(step.try, { ...frame, crowd: tried });
  const hasCatch = step.catch !== undefined;
  let caught: PlannedNode[] | null = null;
  join(frame.crowd, tried, !hasCatch);
  if (hasCatch) {
    const crowd = forkOn(tried);
    caught = yield* walk.steps(step.catch ?? [], { ...frame, crowd });
    join(frame.crowd, crowd, false);
  }
  let last: PlannedNode[] | null = null;
  if (step.finally !== undefined) {
    // It is carried out whatever came before.
    const crowd = forkOn(frame.crowd);
    last = yield* walk.steps(step.finally, { ...frame, crowd });
    join(frame.crowd, crowd, true);
  }
  return { kind: 'try', ...base, body, catch: caught, finally: last };
}

export function* planApproval(
  walk: Walker,
  { approval }: ApprovalStep,
  base: Gated,
  isClosed: boolean,
  frame: Frame,
): Walk<PlannedApproval> {
  const { roles, principals, quorum, allowSelf, expires } = approval;
  const rendered =
    approval.message === undefined ? null : render(walk, approval.message, 'approval.message', walk.runLevel(frame));
  const message = rendered === null || 'error' in rendered ? null : String(rendered.value);
  if (!isClosed) walk.found.approvals.push({ path: base.path, message });
  const asked = { roles: [...roles], principals: [...principals], quorum, allowSelf, expires };
  return { kind: 'approval', ...base, message, ...asked };
}

export function* planWait(walk: Walker, { id, wait }: WaitStep, base: Gated, frame: Frame): Walk<PlannedWait> {
  const node = { kind: 'wait' as const, ...base };
  if ('duration' in wait) return { ...node, waitsFor: 'duration', detail: String(wait.duration) };
  if ('signal' in wait) return { ...node, waitsFor: 'signal', detail: wait.signal };
  const known = walk.runLevel(frame);
  if ('until' in wait) {
    const rendered = render(walk, wait.until, 'wait.until', known);
    return { ...node, waitsFor: 'until', detail: 'error' in rendered ? wait.until : String(rendered.value) };
  }
  const action = walk.action(wait.uses, id);
  const compiled = compileStep({ with: wait.with }, 'run');
  const { outcome, credentials } = planStep({ action, with: wait.with, compiled }, known, { assetId: '', name: '' });
  for (const credential of credentials) walk.opens(credential, base.path);
  return { ...node, waitsFor: 'condition', detail: wait.condition, look: outcome };
}

export function* planCall(
  walk: Walker,
  step: CallStep,
  base: Gated,
  isClosed: boolean,
  frame: Frame,
): Walk<PlannedCall> {
  const { call } = step;
  const runbook = walk.request.called?.get(calledKey(call));
  const empty = { count: 0, digest: targetSetDigest([]), names: [] };
  const node: PlannedCall = {
    kind: 'call',
    ...base,
    runbook: call.runbook,
    version: runbook?.version ?? call.version ?? null,
    targetMode: call.targets,
    inputs: {},
    knownAfter: [],
    targets: empty,
    steps: [],
  };
  if (runbook !== undefined) walk.found.runbooks.set(runbook.name, runbook.version);
  if (isClosed) return node;
  const fail = (code: string, message: string): PlannedCall => {
    frame.crowd.run.stoppedBy ??= step.id;
    return { ...node, gate: { outcome: 'fail', error: { code, message } } };
  };
  if (runbook === undefined) return fail('not-found', `there is no runbook "${call.runbook}"`);
  if (frame.callers.includes(runbook.name)) return fail('call-cycle', `"${runbook.name}" calls itself`);
  if (frame.callers.length >= MAX_CALLS) return fail('call-too-deep', `calls are nested more than ${MAX_CALLS} deep`);
  const rendered = render(walk, call.inputs, 'call.inputs', walk.runLevel(frame));
  if ('error' in rendered) return fail(rendered.error.code, rendered.error.message);
  const knownAfter = [...rendered.knownAfter];
  let inputs = rendered.value as JsonObject;
  if (knownAfter.length === 0 && walk.request.checkInputs !== undefined) {
    const checked = walk.request.checkInputs(runbook.spec, inputs);
    if ('error' in checked) return fail('invalid-inputs', checked.error);
    inputs = checked.inputs;
  }
  const targets = calledTargets(runbook, call, frame);
  const crowd = { run: freshStanding(), targets: targets.map((target) => ({ target, standing: freshStanding() })) };
  const inside: Frame = {
    spec: runbook.spec,
    inputs,
    laterInputs: byInput(rendered.later),
    laterItems: {},
    prefix: `${base.path}/`,
    item: null,
    crowd,
    callers: [...frame.callers, runbook.name],
  };
  const steps = yield* walk.steps(runbook.spec.steps, inside);
  planWaveGate(walk, inside);
  if (crowd.run.stoppedBy !== null) frame.crowd.run.stoppedBy ??= step.id;
  const ids = targets.map(({ assetId }) => assetId);
  const names = targets.map(({ name }) => name);
  return { ...node, inputs, knownAfter, targets: { count: ids.length, digest: targetSetDigest(ids), names }, steps };
}

function calledTargets(runbook: PlannedRunbook, call: CallStep['call'], { crowd }: Frame): readonly PlanTarget[] {
  const selector = call.on === undefined ? null : parseSelector(call.on, { origin: 'call.on' });
  const still = new Set(
    crowd.targets.filter(({ standing }) => standing.stoppedBy === null).map(({ target }) => target.assetId),
  );
  return runbook.targets
    .filter(({ assetId }) => call.targets === 'own' || still.has(assetId))
    .filter(({ asset }) => selector === null || evaluateSelector(selector, asset) === true)
    .toSorted((a, b) => (a.assetId < b.assetId ? -1 : a.assetId > b.assetId ? 1 : 0));
}

/** The inputs of a call that are not known yet. */
function byInput(later: PartlyRendered['later']): LaterNames {
  const names: Record<string, readonly string[]> = {};
  for (const [path, steps] of later) {
    const name = /^call\.inputs(?:\.([A-Za-z_][A-Za-z0-9_-]*)|\["([^"]*)"\])/.exec(path);
    const input = name?.[1] ?? name?.[2];
    if (input !== undefined) names[input] = [...(names[input] ?? []), ...steps];
  }
  return names;
}

/** A value of the run level, as far as it is known. */
function render(walk: Walker, value: unknown, origin: string, known: Known): Parsed<PartlyRendered> {
  const compiled = walk.template(value, origin);
  if ('error' in compiled) return compiled;
  try {
    return renderPartly(value, compiled.template, known, origin);
  } catch (error) {
    return { error: errorOf(error) };
  }
}
