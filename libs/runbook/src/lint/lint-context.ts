import {
  effects,
  isActionStep,
  nestedSteps,
  type ActionContract,
  type ActionStep,
  type Effect,
  type RunbookDocument,
  type RunbookSpec,
  type Step,
} from '@fettle/contracts';
import { evaluateCondition, findExpressions, findReferences, parseExpression } from '@fettle/expression';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isRecord, type JsonPath } from '../json.js';
import { possibleEffects } from './possible-effects.js';
import type { LintCode } from './rules.js';

/** A finding before it has its place and level. */
export interface Draft {
  readonly code: LintCode;
  readonly message: string;
  readonly path: JsonPath;
  /** The key rather than the value of that path. */
  readonly atKey?: boolean;
}

/** A step with where it stands. */
export interface PlacedStep {
  readonly step: Step;
  readonly path: JsonPath;
  /** The steps around it, the outermost first. */
  readonly around: readonly PlacedStep[];
  /** In the order of the text, handlers last. */
  readonly order: number;
  /** Null: a flow step, or an action that is not known. */
  readonly action: ActionContract | null;
  /** The worst that it may be; null where there is no action that is known. */
  readonly effect: Effect | null;
  /** An expression decides it: it may be a lesser one. */
  readonly isEffectOpen: boolean;
  /** The name of the handler that it stands in. */
  readonly handler: string | null;
}

/** A place where an expression reads a variable. */
export interface Read {
  readonly keys: readonly string[];
  /** Of the text that holds the expression. */
  readonly path: JsonPath;
  readonly source: string;
}

export interface LintContext {
  readonly document: RunbookDocument;
  readonly steps: readonly PlacedStep[];
  readonly byId: ReadonlyMap<string, PlacedStep>;
  readonly reads: readonly Read[];
  /** Runbooks of the same files by name. */
  readonly siblings: ReadonlyMap<string, RunbookDocument>;
}

export function lintContext(
  document: RunbookDocument,
  actions: ActionRegistry,
  siblings: ReadonlyMap<string, RunbookDocument>,
): LintContext {
  const steps = placedSteps(document, actions);
  const byId = new Map<string, PlacedStep>();
  for (const placed of steps) if (!byId.has(placed.step.id)) byId.set(placed.step.id, placed);
  return { document, steps, byId, reads: readsOf(document.spec), siblings };
}

function placedSteps({ spec }: RunbookDocument, actions: ActionRegistry): readonly PlacedStep[] {
  const found: PlacedStep[] = [];
  const visit = (
    list: readonly Step[],
    base: JsonPath,
    around: readonly PlacedStep[],
    handler: string | null,
  ): void => {
    for (const [index, step] of list.entries()) {
      const action = isActionStep(step) && Object.hasOwn(actions, step.uses) ? (actions[step.uses] ?? null) : null;
      const path = [...base, index];
      const possible = action === null || !isActionStep(step) ? [] : effectsOf(step, action, spec.inputs);
      const effect = possible.at(-1) ?? null;
      const isEffectOpen = possible.length > 1;
      const placed: PlacedStep = { step, path, around, order: found.length, action, effect, isEffectOpen, handler };
      found.push(placed);
      for (const inner of nestedSteps(step)) visit(inner.steps, [...path, ...inner.path], [...around, placed], handler);
    }
  };
  visit(spec.steps, ['spec', 'steps'], [], null);
  for (const [name, list] of Object.entries(spec.handlers ?? {})) visit(list, ['spec', 'handlers', name], [], name);
  return found;
}

/** The worst last. */
function effectsOf(step: ActionStep, action: ActionContract, inputs: RunbookSpec['inputs']): readonly Effect[] {
  const told = effectOf(step, action);
  return told === null ? possibleEffects(step, action, inputs) : [told];
}

/** What a second execution would do, as far as the document says; null: it depends on an expression. */
export function effectOf(step: Pick<ActionStep, 'with'>, action: ActionContract): Effect | null {
  const declared = step.with.effect;
  const literal = effects.find((effect) => effect === declared);
  if (literal !== undefined) return literal;
  if (typeof declared === 'string' && declared.includes('${{')) return null;
  const parsed = action.input.safeParse(step.with);
  if (parsed.success) return action.effect(parsed.data);
  // Its input has expressions where the schema wants another type: what does not depend on them is told by the rest.
  const constant = Object.fromEntries(
    Object.entries(step.with).filter(([, value]) => !JSON.stringify(value).includes('${{')),
  );
  try {
    return effects.find((effect) => effect === action.effect(constant)) ?? null;
  } catch {
    return null;
  }
}

/** Members whose text is an expression as it stands. */
const expressionKeys: ReadonlySet<string> = new Set(['if', 'when', 'condition', 'items', 'on', 'orderBy', 'targets']);

function readsOf(spec: unknown): readonly Read[] {
  const found: Read[] = [];
  const add = (source: string, path: JsonPath): void => {
    try {
      const expression = parseExpression(source, 'target', {});
      for (const { keys } of findReferences(expression)) found.push({ keys, path, source });
    } catch {
      // What is no expression is told by validation.
    }
  };
  const visit = (value: unknown, path: JsonPath): void => {
    if (typeof value === 'string') {
      const key = path.at(-1);
      const isOutput = path.at(-2) === 'outputs';
      if (isOutput || (typeof key === 'string' && expressionKeys.has(key) && !value.includes('${{'))) add(value, path);
      else if (value.includes('${{')) for (const one of expressionsIn(value)) add(one, path);
      return;
    }
    const members = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
    for (const [key, member] of members as [string | number, unknown][]) {
      // The schema of the inputs holds no expressions of this language.
      if (path.length === 1 && key === 'inputs') continue;
      visit(member, [...path, key]);
    }
  };
  visit(spec, ['spec']);
  return found;
}

function expressionsIn(text: string): readonly string[] {
  try {
    return findExpressions(text).map(({ source }) => source);
  } catch {
    return [];
  }
}

/** The innermost step that a path lies in. */
export function stepAt(context: LintContext, path: JsonPath): PlacedStep | null {
  let best: PlacedStep | null = null;
  for (const placed of context.steps) {
    if (startsWith(path, placed.path) && placed.path.length > (best?.path.length ?? 0)) best = placed;
  }
  return best;
}

export function startsWith(path: JsonPath, prefix: JsonPath): boolean {
  return prefix.length <= path.length && prefix.every((part, index) => part === path[index]);
}

/**
 * What a condition comes to whatever the values are; null: that depends on them, or it is no expression. `false && x` is false;
 * `unknown` is one that reads nothing and has no value.
 */
export function constantTruth(source: string): true | false | 'unknown' | null {
  try {
    const expression = parseExpression(source, 'target', { expect: 'bool' });
    const isConstant = findReferences(expression).length === 0;
    // Of what is missing `has` is false, which says nothing of the value.
    if (!isConstant && /\bhas\s*\(/.test(source)) return null;
    const truth = evaluateCondition(expression, {});
    return truth === 'unknown' && !isConstant ? null : truth;
  } catch {
    return null;
  }
}
