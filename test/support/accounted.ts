import { actionContracts, type ActionName } from '@fettle/activities/contracts';
import { isActionStep, nestedSteps, walkSteps, type RunbookSpec, type Step } from '@fettle/contracts';
import type { RehearsedEntry } from '@fettle/runbook/source';
import type { Played, ReadyMade } from './ready-made.js';

const cameThrough = new Set(['succeeded', 'skipped']);

/**
 * What a run, and each that it called, left undone without a word, judged by their journals alone; none is as it must be. Of each step
 * that may have changed something: it counts (its target came through), or it was undone, or the journal says that it was not, or the
 * document says why it cannot be.
 */
export function unaccounted({ name, spec, documents }: ReadyMade, played: Played): readonly string[] {
  const { simulation, calls } = played;
  const specs = new Map(
    documents.flatMap(({ document }) =>
      document?.kind === 'Runbook' ? [[document.metadata.name, document.spec] as const] : [],
    ),
  );
  specs.set(name, spec);
  return simulation.runs.flatMap(({ number, runbook, finish, targets }) => {
    const entries = simulation.entries.filter(({ run }) => run === number);
    const own = {
      simulation: { ...simulation, entries, targets, finish },
      calls: calls.filter((one) => one.run === number),
    };
    const problems = unaccountedIn(specs.get(runbook)!, own);
    return number === 1 ? problems : problems.map((problem) => `run ${number} of ${runbook}: ${problem}`);
  });
}

function unaccountedIn(spec: RunbookSpec, played: Played): readonly string[] {
  const { entries, targets } = played.simulation;
  return [
    ...endProblems(played),
    ...targetProblems(entries, targets),
    ...stepProblems(spec, played),
    ...finallyProblems(spec, played),
  ];
}

/** What the run that called another writes in its journal after the end, when it undoes it. */
const afterEnd = new Set([
  'undo-requested',
  'undo-started',
  'undo-ended',
  'target-rolled-back',
  'not-undone',
  'run-undone',
]);

interface RunEnd {
  readonly state: string;
  readonly error: { readonly code?: string } | null;
  readonly rollback?: { readonly failed?: readonly string[] };
}

/** Of a run that its caller undid: with what that could not undo. */
function endOf(entries: readonly RehearsedEntry[]): RunEnd {
  const { data } = entries.find(({ kind }) => kind === 'run-ended')!;
  const end = data as unknown as RunEnd;
  const undone = entries.filter(({ kind }) => kind === 'run-undone').map((entry) => entry.data as unknown as RunEnd);
  const failed = [end, ...undone].flatMap(({ rollback }) => rollback?.failed ?? []);
  return { ...end, rollback: { failed } };
}

/** One end, after which only its caller does something, that is true of all targets and steps. */
function endProblems({ simulation: { entries, targets } }: Played): string[] {
  const at = entries.findIndex(({ kind }) => kind === 'run-ended');
  const later = entries.slice(at + 1).filter(({ run, kind }) => run === 1 || !afterEnd.has(kind));
  if (at < 0 || later.length > 0) return ['the run has no end that is its last entry'];
  const { state, error, rollback } = endOf(entries);
  const problems: string[] = [];
  const bad = Object.entries(targets).filter(([, one]) => !cameThrough.has(one));
  if (state === 'succeeded' && bad.length > 0) problems.push(`it succeeded, and not so ${JSON.stringify(bad)}`);
  if (state === 'failed' && (error?.code ?? '') === '') problems.push('it failed without an error');
  const incomplete = entries.some(({ kind, data }) => kind === 'target-rolled-back' && data['state'] === 'incomplete');
  const undoFailed = [...lastOf(entries, 'undo-ended').values()].some(({ data }) => data['state'] !== 'succeeded');
  if ((incomplete || undoFailed) && (rollback?.failed ?? []).length === 0)
    problems.push('something could not be undone, and the end of the run does not say so');
  return problems;
}

/** Each target ended once, in a state that is an end. */
function targetProblems(entries: readonly RehearsedEntry[], targets: Readonly<Record<string, string>>): string[] {
  return Object.entries(targets).flatMap(([name, state]) => {
    const ends = entries.filter(({ kind, target }) => kind === 'target-ended' && target === name);
    if (state === 'pending' || state === 'running') return [`${name} is ${state} for ever`];
    if (ends.length === 1 && ends[0]!.data['state'] === state) return [];
    return [`${name} is ${state} and has ${ends.length} ends`];
  });
}

/** Attempts of actions that may have changed something. */
function stepProblems(spec: RunbookSpec, { simulation, calls }: Played): string[] {
  const { entries, targets } = simulation;
  const steps = new Map([...everyStep(spec)].filter(isActionStep).map((step) => [step.id, step]));
  const inCompensation = compensationIds(spec);
  const changed = new Map(
    calls
      .filter(({ phase, effect }) => phase === 'do' && effect !== 'read-only')
      .map((call) => [keyOf(call.target, call.path), call]),
  );
  const ended = lastOf(entries, 'step-ended');
  const undone = lastOf(entries, 'undo-ended');
  if (!entries.some(({ kind }) => kind === 'run-ended')) return [];
  const end = endOf(entries);
  return [...changed].flatMap(([key, { id, path, target }]): string[] => {
    const what = `${path}${target === null ? '' : ` on ${target}`}`;
    const last = ended.get(key);
    const ofStep = entries.filter((entry) => keyOf(entry.target, entry.step) === key);
    const all = ofStep.filter(({ kind }) => kind === 'step-ended');
    const attempts = (kind: string): number =>
      new Set(ofStep.filter((entry) => entry.kind === kind).map(({ data }) => data['attempt'])).size;
    // A lost worker's attempt is begun once more under its number.
    if (last === undefined || attempts('step-started') > attempts('step-ended'))
      return [`${what} was started and never ended`];
    const isThrough = target === null ? end.state === 'succeeded' : cameThrough.has(targets[target] ?? '');
    const state = last.data['state'] as string;
    if (state === 'succeeded' && isThrough) return [];
    // It reached nobody, in none of its attempts.
    if (all.every(({ data }) => data['state'] === 'unreachable')) return [];
    if (undone.get(key)?.data['state'] === 'succeeded') return [];
    if (isReported(entries, end, path, target)) return [];
    const rollback = steps.get(id)?.rollback;
    if (rollback !== undefined && 'none' in rollback && rollback.none.trim() !== '') return [];
    if (inCompensation.has(id) && state === 'succeeded') return [];
    // What went its way to the end stands, although targets failed: the document asks for no more.
    if (target === null && state === 'succeeded' && isComplete(entries)) return [];
    return [`${what} is ${state}, not undone, and nothing says so (rollback ${JSON.stringify(rollback)})`];
  });
}

/** Whether the journal says of a step that it stands, or may stand. */
function isReported(
  entries: readonly RehearsedEntry[],
  end: { readonly rollback?: { readonly failed?: readonly string[] } },
  path: string,
  target: string | null,
): boolean {
  if (target === null) {
    const isNoted = entries.some(({ kind, step }) => kind === 'not-undone' && step === path);
    return isNoted || (end.rollback?.failed ?? []).includes(path);
  }
  return entries.some(
    ({ kind, target: name, data }) =>
      kind === 'target-rolled-back' && name === target && (data['left'] as string[]).includes(path),
  );
}

/** The run went all its way: only targets failed. */
function isComplete(entries: readonly RehearsedEntry[]): boolean {
  const { state, error } = endOf(entries);
  return state === 'failed' && error?.code === 'targets-failed';
}

/** `finally` of each `try` that was begun with, on each target that is still there (of another it is said), and of the run. */
function finallyProblems(spec: RunbookSpec, { simulation: { entries, targets } }: Played): string[] {
  const began = (step: Step, target: string | null): boolean =>
    entries.some((entry) => entry.kind === 'step-started' && entry.target === target && idOf(entry.step) === step.id);
  const problems: string[] = [];
  for (const step of everyStep(spec)) {
    if (!('try' in step) || step.finally === undefined) continue;
    const body = [...walkSteps(step.try)];
    const owners = step.finally.some(
      (one) => isActionStep(one) && actionContracts[one.uses as ActionName].scope === 'target',
    )
      ? Object.keys(targets)
      : [null];
    for (const target of owners) {
      const wasBegun =
        target === null
          ? body.some((one) => began(one, null) || Object.keys(targets).some((name) => began(one, name)))
          : body.some((one) => began(one, target));
      const hasLeft = target !== null && ['unreachable', 'quarantined', 'unknown'].includes(targets[target]!);
      const isTold = entries.some((entry) => entry.kind === 'finally-not-run' && entry.target === target);
      if (!wasBegun || (hasLeft && isTold)) continue;
      const first = step.finally[0]!;
      const came = entries.some(
        (entry) =>
          (entry.kind === 'step-started' || entry.kind === 'step-ended') &&
          entry.target === target &&
          idOf(entry.step) === first.id,
      );
      if (!came) problems.push(`finally of ${step.id} was not carried out${target === null ? '' : ` on ${target}`}`);
    }
  }
  return problems;
}

export function* everyStep(spec: RunbookSpec): Generator<Step> {
  yield* walkSteps(spec.steps);
  for (const steps of Object.values(spec.handlers ?? {})) yield* walkSteps(steps);
}

/** Steps that are there for the case that something fails: they are what takes back, and are not taken back themselves. */
function compensationIds(spec: RunbookSpec): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const step of everyStep(spec)) {
    for (const { path, steps } of nestedSteps(step)) {
      if (path[0] === 'catch' || path[0] === 'finally') for (const one of walkSteps(steps)) ids.add(one.id);
    }
  }
  for (const steps of Object.values(spec.handlers ?? {})) for (const one of walkSteps(steps)) ids.add(one.id);
  return ids;
}

function keyOf(target: string | null, step: string | null): string {
  return `${target ?? ''} ${step ?? ''}`;
}

function idOf(path: string | null): string {
  return path?.slice(path.lastIndexOf('/') + 1) ?? '';
}

function lastOf(entries: readonly RehearsedEntry[], kind: string): ReadonlyMap<string, RehearsedEntry> {
  return new Map(
    entries.filter((entry) => entry.kind === kind).map((entry) => [keyOf(entry.target, entry.step), entry]),
  );
}
