import type { Plan, PlanDifference, PlannedNode, PlannedOutcome, PlannedVariant } from '@fettle/contracts';
import { canonicalJson } from '../json.js';
import { plannedInside } from './plan.js';
import { withoutLaterFiles } from './plan-digest.js';
import { describeOutcome } from './plan-text.js';

/** Differences beyond this number are counted, not listed. */
export const MAX_DIFFERENCES = 200;
/** Names of targets that one difference lists. */
const MAX_NAMES = 20;
/** Texts of values are cut here. */
const MAX_TEXT_CHARS = 1000;

/**
 * What differs between two plans as far as their digests go: what was to be done, and what would be done now. Empty exactly where the
 * digests are equal. In the order in which a person looks: versions, inputs, credentials, targets, then steps.
 */
export function diffPlans(before: Plan, after: Plan): readonly PlanDifference[] {
  if (before.digest === after.digest) return [];
  const differences = [
    ...versions('runbook', before.closure.runbooks, after.closure.runbooks, before, after),
    ...versions('action', before.closure.actions, after.closure.actions),
    ...members('input', before.inputs, after.inputs),
    ...versions('credential', before.credentials, after.credentials),
    ...targets(before, after),
    ...steps(before, after),
    ...gates(before, after),
  ];
  if (differences.length === 0) {
    // Whatever it is, it must not look as if there was nothing.
    return [{ kind: 'step', subject: 'the plan', before: before.digest, after: after.digest }];
  }
  if (differences.length <= MAX_DIFFERENCES) return differences;
  const left = differences.length - MAX_DIFFERENCES;
  const rest: PlanDifference = { kind: 'step', subject: `${left} more differences`, before: null, after: null };
  return [...differences.slice(0, MAX_DIFFERENCES), rest];
}

/** What has to hold between two waves. */
function gates(before: Plan, after: Plan): readonly PlanDifference[] {
  const texts = ({ waveGate }: Plan): Record<string, string> =>
    waveGate === undefined ? {} : { gate: canonicalJson(waveGate) };
  return changes('step', texts(before), texts(after));
}

interface Versioned {
  readonly name: string;
  readonly version: string | number | null;
}

function versions(
  kind: 'runbook' | 'action' | 'credential',
  before: readonly Versioned[],
  after: readonly Versioned[],
  ...own: readonly Plan[]
): readonly PlanDifference[] {
  const text = ({ version }: Versioned): string =>
    version === null ? 'missing' : kind === 'runbook' ? String(version) : `version ${version}`;
  const toMap = (list: readonly Versioned[], plan: Plan | undefined): Record<string, string> => {
    const texts = Object.fromEntries(list.map((one) => [one.name, text(one)]));
    return plan === undefined ? texts : { ...texts, [plan.runbook.name]: plan.runbook.version };
  };
  return changes(kind, toMap(before, own[0]), toMap(after, own[1]));
}

function members(
  kind: 'input',
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): readonly PlanDifference[] {
  const texts = (values: Readonly<Record<string, unknown>>): Record<string, string> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, canonicalJson(value)]));
  return changes(kind, texts(before), texts(after));
}

function changes(
  kind: PlanDifference['kind'],
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): readonly PlanDifference[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((subject) => {
    const was = Object.hasOwn(before, subject) ? (before[subject] ?? null) : null;
    const is = Object.hasOwn(after, subject) ? (after[subject] ?? null) : null;
    return was === is ? [] : [{ kind, subject, before: cut(was), after: cut(is) }];
  });
}

function cut(text: string | null): string | null {
  return text === null || text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}

function targets(before: Plan, after: Plan): readonly PlanDifference[] {
  const missing = (from: Plan, other: Plan): readonly string[] => {
    const ids = new Set(other.targets.items.map(({ assetId }) => assetId));
    return from.targets.items.filter(({ assetId }) => !ids.has(assetId)).map(({ name }) => name);
  };
  const gone = missing(before, after);
  const come = missing(after, before);
  const difference = (names: readonly string[], was: string | null, is: string | null): readonly PlanDifference[] =>
    names.length === 0 ? [] : [{ kind: 'target', subject: 'targets', before: was, after: is, ...named(names) }];
  return [...difference(gone, 'a target', null), ...difference(come, null, 'a target')];
}

function named(names: readonly string[]): Pick<PlanDifference, 'targets' | 'targetCount'> {
  return { targets: names.slice(0, MAX_NAMES), targetCount: names.length };
}

/** What a step is in one of the plans: for each target by its id ('' for the run itself), and what holds for all of it. */
interface PlannedAt {
  readonly whole: { readonly key: string; readonly text: string };
  readonly byTarget: ReadonlyMap<string, PlannedOutcome>;
}

function steps(before: Plan, after: Plan): readonly PlanDifference[] {
  const [was, is] = [byPath(before), byPath(after)];
  const names = new Map([...before.targets.items, ...after.targets.items].map(({ assetId, name }) => [assetId, name]));
  const both = new Set(after.targets.items.map(({ assetId }) => assetId));
  const stayed = new Set(before.targets.items.flatMap(({ assetId }) => (both.has(assetId) ? [assetId] : [])));
  const paths = [...new Set([...was.keys(), ...is.keys()])];
  return paths.flatMap((path) => {
    const [old, now] = [was.get(path), is.get(path)];
    if (old === undefined || now === undefined) {
      return [
        { kind: 'step' as const, subject: path, before: old?.whole.text ?? null, after: now?.whole.text ?? null },
      ];
    }
    const whole: PlanDifference[] =
      old.whole.key === now.whole.key
        ? []
        : [{ kind: 'step', subject: path, before: cut(old.whole.text), after: cut(now.whole.text) }];
    return [...whole, ...outcomes(path, old, now, (id) => id === '' || !names.has(id) || stayed.has(id), names)];
  });
}

/** Targets whose outcome changed in the same way are one difference. */
function outcomes(
  subject: string,
  old: PlannedAt,
  now: PlannedAt,
  counts: (id: string) => boolean,
  names: ReadonlyMap<string, string>,
): readonly PlanDifference[] {
  const groups = new Map<string, { was: PlannedOutcome | undefined; is: PlannedOutcome | undefined; ids: string[] }>();
  for (const id of new Set([...old.byTarget.keys(), ...now.byTarget.keys()])) {
    // A target that came or went is a difference of its own.
    if (!counts(id)) continue;
    const [was, is] = [old.byTarget.get(id), now.byTarget.get(id)];
    const [wasBound, isBound] = [was, is].map((one) => (one === undefined ? null : withoutLaterFiles(one)));
    const key = canonicalJson([wasBound, isBound]);
    if (canonicalJson(wasBound) === canonicalJson(isBound)) continue;
    const group = groups.get(key) ?? { was, is, ids: [] };
    group.ids.push(id);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ was, is, ids }) => {
    const [before, after] = texts(was, is);
    const shown = ids.filter((id) => id !== '').map((id) => names.get(id) ?? id);
    return {
      kind: 'step',
      subject,
      before: cut(before),
      after: cut(after),
      ...(shown.length === 0 ? {} : named(shown)),
    };
  });
}

/** Two outcomes that differ must not read alike: what no command shows is told by its digest. */
function texts(was: PlannedOutcome | undefined, is: PlannedOutcome | undefined): [string | null, string | null] {
  const [before, after] = [was, is].map((one) => (one === undefined ? null : describeOutcome(one)));
  if (before !== after || was === undefined || is === undefined) return [before ?? null, after ?? null];
  const detail = (one: PlannedOutcome): string => {
    if (one.outcome !== 'run') return canonicalJson(one);
    return `${describeOutcome(one)} (input ${one.inputDigest.slice(7, 19)}, known after: ${one.knownAfter.join(', ') || 'all known'})`;
  };
  return [detail(was), detail(is)];
}

function byPath(plan: Plan): ReadonlyMap<string, PlannedAt> {
  const ids = new Map(plan.targets.items.map(({ assetId, name }) => [name, assetId]));
  const found = new Map<string, PlannedAt>();
  const visit = (nodes: readonly PlannedNode[]): void => {
    for (const node of nodes) {
      found.set(node.path, plannedAt(node, ids));
      if (node.kind === 'action' && node.rollback?.kind === 'step') {
        const { uses, variants } = node.rollback;
        const whole = { key: uses, text: `rollback ${uses}` };
        found.set(`${node.path}!rollback`, { whole, byTarget: byTarget(variants, ids) });
      }
      visit(plannedInside(node));
    }
  };
  visit(plan.steps);
  return found;
}

function plannedAt(node: PlannedNode, ids: ReadonlyMap<string, string>): PlannedAt {
  if (node.kind === 'action') {
    const { uses, actionVersion, scope, rollback } = node;
    const undo = rollback?.kind === 'step' ? null : (rollback ?? null);
    const key = canonicalJson({ uses, actionVersion, scope, undo });
    const versioned = `${uses} version ${actionVersion}`;
    const back = undo === null ? '' : `, rollback: ${undo.kind === 'none' ? undo.reason : undo.compensation}`;
    const text = `${versioned}${back}`;
    return { whole: { key, text }, byTarget: byTarget(node.variants, ids) };
  }
  const { kind, gate, ...rest } = node;
  const own: Record<string, unknown> = { kind, gate };
  // What it holds has paths of its own.
  for (const [name, value] of Object.entries(rest)) if (!inside.has(name)) own[name] = value;
  if (node.kind === 'choose') own.taken = node.branches.map(({ when, taken }) => ({ when, taken }));
  if (node.kind === 'for-each') own.items = node.iterations.map(({ item }) => item);
  if (node.kind === 'call') own.targets = node.targets.digest;
  return { whole: { key: canonicalJson(own), text: canonicalJson(own) }, byTarget: new Map() };
}

const inside: ReadonlySet<string> = new Set([
  'path',
  'stepId',
  'name',
  'handler',
  'branches',
  'iterations',
  'steps',
  'body',
  'catch',
  'finally',
  'targets',
]);

function byTarget(variants: readonly PlannedVariant[], ids: ReadonlyMap<string, string>): Map<string, PlannedOutcome> {
  const found = new Map<string, PlannedOutcome>();
  for (const { targets: names, count: _count, ...outcome } of variants) {
    for (const name of names.length === 0 ? [''] : names) found.set(ids.get(name) ?? name, outcome);
  }
  return found;
}
