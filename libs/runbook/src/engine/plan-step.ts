import { FettleError, type ActionContract, type PlannedOutcome } from '@fettle/contracts';
import {
  compileTemplate,
  evaluateCondition,
  references,
  renderCompiled,
  type Expression,
  type Template,
  type Variables,
} from '@fettle/expression';
import { digestOf, isRecord } from '../json.js';
import type { CompiledStep, StepError } from './decide-step.js';

/** A step as planning needs it: parsed once, rendered for each target. */
export interface PlanStep {
  readonly action: ActionContract;
  readonly with: unknown;
  readonly compiled: CompiledStep;
}

/** What is known where a step is planned. */
export interface Known {
  readonly variables: Variables;
  /** Steps that will yield nothing, because they are skipped or fail: to read them is to read a missing value. */
  readonly silent: ReadonlySet<string>;
  /** Earlier steps that renew the asset's facts: what is known of them now need not hold then. */
  readonly factsAfter: readonly string[];
  /** Members of `inputs` and of `item` that are not known yet, with the steps that they depend on. */
  readonly laterInputs: LaterNames;
  readonly laterItems: LaterNames;
}

/** Name -> the steps after which its value is known. */
export type LaterNames = Readonly<Record<string, readonly string[]>>;

export interface PlannedStep {
  readonly outcome: PlannedOutcome;
  /** Names of the credentials that the step opens. */
  readonly credentials: readonly string[];
  /** Parsed, where it runs. */
  readonly input?: unknown;
}

/** How a value is shown that an earlier step will yield. */
export function knownAfterText(stepIds: readonly string[]): string {
  return `(known after ${stepIds.join(', ')})`;
}

/** Steps, or `the start` of the run, that an expression reads and that are not known before it. */
export function readsLater(expression: Expression, known: Known): readonly string[] {
  return references(expression).flatMap((path) => {
    const [variable, name] = path.split('.');
    if (variable === 'steps') {
      if (name === undefined) return ['earlier steps'];
      return known.silent.has(name) ? [] : [name];
    }
    if (variable === 'asset') return name === undefined || name === 'facts' ? known.factsAfter : [];
    if (variable === 'inputs') return laterNames(known.laterInputs, name);
    if (variable === 'item') return laterNames(known.laterItems, name);
    if (variable === 'error') return ['the failure'];
    return variable === 'run' ? ['the start'] : [];
  });
}

function laterNames(later: LaterNames, name: string | undefined): readonly string[] {
  if (name === undefined) return Object.values(later).flat();
  return Object.hasOwn(later, name) ? (later[name] ?? []) : [];
}

export type PlannedTruth =
  | { readonly truth: true | false }
  /** It depends on what the named steps yield. */
  | { readonly truth: 'later'; readonly knownAfter: readonly string[] }
  | { readonly truth: 'undetermined' };

/** A condition as far as it can be told: `false && steps.x.y` is false, whatever the step yields. */
export function planCondition(condition: Expression, known: Known): PlannedTruth {
  const later = [...new Set(readsLater(condition, known))].sort();
  // Of what is not there yet `has` would say that it never will be.
  const asksPresence = later.length > 0 && /\bhas\s*\(/.test(condition.source);
  const truth = asksPresence ? 'unknown' : evaluateCondition(condition, visible(known, later.length > 0));
  if (truth !== 'unknown') return { truth };
  return later.length > 0 ? { truth: 'later', knownAfter: later } : { truth: 'undetermined' };
}

/** The variables without those that are not known yet; absent variables are unknown. */
function visible({ variables, factsAfter, laterInputs, laterItems }: Known, hidesLater: boolean): Variables {
  const { asset, steps = {}, inputs, item, ...rest } = variables;
  return {
    ...rest,
    ...(asset === undefined || (hidesLater && factsAfter.length > 0) ? {} : { asset }),
    ...(hidesLater ? {} : { steps }),
    ...(inputs === undefined ? {} : { inputs: without(inputs, laterInputs) }),
    ...(item === undefined ? {} : { item: without(item, laterItems) }),
  };
}

function without(value: unknown, later: LaterNames): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !Object.hasOwn(later, name)));
}

/** What a step would do on one target, or once for the run, through the action's own `render`. */
export function planStep(step: PlanStep, known: Known, target: { assetId: string; name: string }): PlannedStep {
  const { condition, template, error } = step.compiled;
  if (error !== null || template === null) return failed(error ?? { code: 'internal', message: 'not compiled' });
  try {
    const later = new Set<string>();
    if (condition !== null) {
      const planned = planCondition(condition, known);
      if (planned.truth === false) return { outcome: { outcome: 'skip' }, credentials: [] };
      if (planned.truth === 'undetermined') {
        const message = `the condition \`${condition.source}\` cannot be determined`;
        return failed({ code: 'condition-undetermined', message });
      }
      if (planned.truth === 'later') for (const name of planned.knownAfter) later.add(name);
    }
    const rendered = renderPartly(step.with, template, known, 'with');
    for (const name of rendered.knownAfter) later.add(name);
    const planned = renderStep(step, rendered.value, target, [...later].sort());
    return markLaterFiles(planned, rendered, step, template, known, target);
  } catch (failure) {
    if (!(failure instanceof FettleError)) throw failure;
    return failed({ code: failure.code, message: failure.message });
  }
}

function failed(error: StepError): PlannedStep {
  return { outcome: { outcome: 'fail', error: { code: error.code, message: error.message } }, credentials: [] };
}

export interface PartlyRendered {
  readonly value: unknown;
  /** Sorted. */
  readonly knownAfter: readonly string[];
  /** The same by the path of the text that depends on it. */
  readonly later: ReadonlyMap<string, readonly string[]>;
}

/**
 * A value with what is known rendered, and `(known after ...)` in the place of each text that reads what is not. `origin` is the
 * path that its template was compiled with. Throws FettleError as `renderCompiled`.
 */
export function renderPartly(
  value: unknown,
  template: Template,
  known: Known,
  origin: string,
  laterText: (stepIds: readonly string[]) => string = knownAfterText,
): PartlyRendered {
  const later = new Map<string, readonly string[]>();
  for (const { path, expression } of template.expressions) {
    const names = readsLater(expression, known);
    if (names.length > 0) later.set(path, [...new Set([...(later.get(path) ?? []), ...names])].sort());
  }
  const knownAfter = [...new Set([...later.values()].flat())].sort();
  const variables = visible(known, false);
  const rest =
    later.size === 0
      ? template
      : compileTemplate(maskUnknown(value, origin, later, laterText), template.environment, origin);
  return { value: renderCompiled(rest, variables), knownAfter, later };
}

function maskUnknown(
  value: unknown,
  path: string,
  unknown: ReadonlyMap<string, readonly string[]>,
  text: (stepIds: readonly string[]) => string,
): unknown {
  if (typeof value === 'string') {
    const names = unknown.get(path);
    return names === undefined ? value : text(names);
  }
  const mask = (item: unknown, at: string): unknown => maskUnknown(item, at, unknown, text);
  if (Array.isArray(value)) return value.map((item, index) => mask(item, `${path}[${index}]`));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, mask(item, memberPath(path, key))]);
  return Object.fromEntries(entries) as unknown;
}

/** As the expression room writes the path of a member. */
function memberPath(path: string, key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key.slice(0, 60))}]`;
}

function renderStep(
  { action }: PlanStep,
  input: unknown,
  target: { readonly assetId: string; readonly name: string },
  knownAfter: readonly string[],
): PlannedStep {
  const parsed = action.input.safeParse(input);
  if (!parsed.success) {
    // The text in the place of a value that is not known yet need not be what the schema asks for.
    if (knownAfter.length > 0) return { outcome: { outcome: 'unknown', knownAfter: [...knownAfter] }, credentials: [] };
    const [issue] = parsed.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? 'with' : `with.${issue.path.map(String).join('.')}`;
    return failed({ code: 'invalid-inputs', message: `${where}: ${issue?.message ?? 'is wrong'}` });
  }
  const rendered = action.render(parsed.data, target);
  return {
    outcome: {
      outcome: 'run',
      effect: action.effect(parsed.data),
      rendered: {
        ...rendered,
        argv: rendered.argv.map((words) => [...words]),
        files: [...rendered.files],
        calls: [...rendered.calls],
      },
      inputDigest: digestOf(parsed.data),
      knownAfter: [...knownAfter],
    },
    credentials: credentialsIn(action, parsed.data),
    input: parsed.data,
  };
}

/**
 * Says of each file after which steps its content is known. Only the action knows what of its input gets into which file, so it renders
 * once more with other texts in the place of what a step yields: a file whose digest changes with them depends on that step.
 */
function markLaterFiles(
  planned: PlannedStep,
  { later }: PartlyRendered,
  { action, with: input }: PlanStep,
  template: Template,
  known: Known,
  target: { readonly assetId: string; readonly name: string },
): PlannedStep {
  const { outcome } = planned;
  if (later.size === 0 || outcome.outcome !== 'run' || outcome.rendered.files.length === 0) return planned;
  const { files } = outcome.rendered;
  const found = files.map((): string[] => []);
  for (const name of [...new Set([...later.values()].flat())].sort()) {
    const otherText = (names: readonly string[]): string =>
      `${knownAfterText(names)}${names.includes(name) ? '.' : ''}`;
    const parsed = action.input.safeParse(renderPartly(input, template, known, 'with', otherText).value);
    const others = parsed.success ? action.render(parsed.data, target).files : [];
    for (const [index, file] of files.entries()) if (others[index]?.sha256 !== file.sha256) found[index]?.push(name);
  }
  const marked = files.map((file, index) => {
    const knownAfter = found[index] ?? [];
    return knownAfter.length === 0 ? file : { ...file, knownAfter };
  });
  return { ...planned, outcome: { ...outcome, rendered: { ...outcome.rendered, files: marked } } };
}

/** Names of the credentials that an input names, where its action says that they stand. */
export function credentialsIn(action: ActionContract, input: unknown): readonly string[] {
  return action.secretInputs.flatMap((path) => textsAt(input, path.split('.')));
}

/** The texts that stand at a path of a value, or below it. */
function textsAt(value: unknown, path: readonly string[]): readonly string[] {
  const [key, ...rest] = path;
  if (key !== undefined) {
    return isRecord(value) && Object.hasOwn(value, key) ? textsAt(value[key], rest) : [];
  }
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((member) => textsAt(member, []));
}
