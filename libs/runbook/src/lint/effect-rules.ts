import { isActionStep } from '@fettle/contracts';
import { startsWith, type Draft, type LintContext, type PlacedStep } from './lint-context.js';

/** What changes something: approvals before it, undoing it, repeating it, and how far a mistake of it goes. */
export function* effectRules(context: LintContext): Generator<Draft> {
  for (const placed of context.steps) {
    const { step, action, effect, isEffectOpen, path } = placed;
    if (!isActionStep(step) || action === null) continue;
    const { id } = step;
    if (effect === 'irreversible') yield* irreversible(placed, context);
    const changes = effect === 'mutating' || effect === 'irreversible';
    const is = isEffectOpen ? 'may be' : 'is';
    if (changes && step.rollback === undefined && action.compensation === null) {
      const message = `"${id}" ${is} ${effect} and says nothing of how it is undone; give it \`rollback\`, or \`rollback: {none: <why>}\``;
      yield { code: 'mutating-without-rollback', message, path };
    }
    const own = context.reads.find(
      (one) => one.keys[0] === 'steps' && one.keys[1] === id && startsWith(one.path, [...path, 'rollback']),
    );
    if (own !== undefined) {
      const message = `the rollback of "${id}" reads what "${id}" yields, which is nothing where it failed half-way`;
      yield { code: 'rollback-reads-own-output', message, path: own.path };
    }
    if (changes && step.retry !== undefined && step.retry.maxAttempts > 1) {
      const message = `"${id}" ${is} ${effect} and is tried up to ${step.retry.maxAttempts} times`;
      yield { code: 'retried-mutation', message, path: [...path, 'retry'], atKey: true };
    }
    if (step.timeout === undefined && action.defaultTimeoutMs > LONG_DEFAULT_MS) {
      const message = `"${id}" has no \`timeout\`: ${step.uses} may then take ${action.defaultTimeoutMs / 1000} s`;
      yield { code: 'missing-timeout', message, path };
    }
  }
  yield* rolloutRules(context);
  for (const { step, path } of context.steps) {
    if ('approval' in step && step.approval.allowSelf) {
      const message = `whoever requested the run may give the approval "${step.id}"`;
      yield { code: 'self-approval', message, path: [...path, 'approval', 'allowSelf'], atKey: true };
    }
  }
}

const LONG_DEFAULT_MS = 60_000;

function* irreversible(placed: PlacedStep, context: LintContext): Generator<Draft> {
  const { step, path, isEffectOpen } = placed;
  const cannot = isEffectOpen ? 'may be one that cannot be undone, as an expression decides' : 'cannot be undone';
  if (!hasApprovalBefore(placed, context)) {
    const message = `"${step.id}" ${cannot}, and no approval stands before it in any case`;
    yield { code: 'irreversible-without-approval', message, path };
  }
  const read = context.reads.find(
    (one) =>
      one.keys[0] === 'steps' && (startsWith(one.path, [...path, 'with']) || startsWith(one.path, [...path, 'if'])),
  );
  if (read !== undefined) {
    const message = `"${step.id}" ${cannot}, and what it does is known only after "${read.keys[1] ?? 'earlier steps'}"`;
    yield { code: 'irreversible-known-later', message, path: read.path };
  }
}

/** Whether an approval is always asked before a step: in its own list or one around it, without a condition of its own. */
function hasApprovalBefore(placed: PlacedStep, context: LintContext): boolean {
  if (placed.handler !== null) {
    const naming = context.steps.filter(({ step, handler }) => step.onError === placed.handler && handler === null);
    if (naming.length > 0 && naming.every((one) => hasApprovalBefore(one, context))) return true;
  }
  return context.steps.some((one) => {
    if (!('approval' in one.step) || one.step.if !== undefined || one.handler !== placed.handler) return false;
    // It has been passed once the steps around it have ended well; those must not be left out, either.
    const certain = [one, ...one.around.filter(({ path }) => !startsWith(placed.path, path))];
    return (
      certain.every((each) => standsBefore(each, one, placed)) && certain.some((each) => isEarlierSibling(each, placed))
    );
  });
}

/** A step around an approval, or itself, that is always gone through before `placed`. */
function standsBefore(around: PlacedStep, approval: PlacedStep, placed: PlacedStep): boolean {
  const { step, path } = around;
  // A condition may leave it out; any other way on from a failure passes a rejection over.
  if (step.if !== undefined || step.onError !== 'fail') return false;
  if (around === approval) return approval.order < placed.order;
  const inside = approval.path.slice(path.length);
  return 'parallel' in step || ('try' in step && inside[0] === 'try' && step.catch === undefined);
}

function isEarlierSibling({ path }: PlacedStep, placed: PlacedStep): boolean {
  const list = path.slice(0, -1);
  const [own, other] = [path.at(-1), placed.path[list.length]];
  return startsWith(placed.path, list) && typeof own === 'number' && typeof other === 'number' && own < other;
}

function* rolloutRules({ document, steps }: LintContext): Generator<Draft> {
  const { spec } = document;
  const changing = steps.find(
    ({ action, effect }) => action?.scope === 'target' && (effect === 'mutating' || effect === 'irreversible'),
  );
  if (changing === undefined || spec.targets === undefined) return;
  // Where the document has no `rollout`, that is the place of its `spec`.
  const path = ['spec', 'rollout'];
  if (spec.rollout.maxFailures === undefined) {
    const message = `"${changing.step.id}" changes targets, and no \`rollout.maxFailures\` stops it when it fails`;
    yield { code: 'no-failure-limit', message, path, atKey: true };
  }
  if (spec.rollout.waves === undefined) {
    const message = `"${changing.step.id}" changes all targets in one wave; \`rollout.waves\` would begin with a few`;
    yield { code: 'no-waves', message, path, atKey: true };
  }
}
