import { durationMs, type EntryPattern, type Expectation } from '@fettle/contracts';
import { canonicalJson, type JsonPath } from '../json.js';
import { matchesStep } from './compile-script.js';
import type { RehearsedEntry } from './journal.js';
import type { Simulation } from './simulate.js';

/** What a case does not come to; `path` is that of the expectation below `expects`. */
export interface Mismatch {
  readonly path: JsonPath;
  readonly message: string;
}

/** Compares what a case came to with what it is to come to. */
export function mismatches(expects: Expectation, simulation: Simulation, runbook: string): readonly Mismatch[] {
  return [
    ...endMismatches(expects, simulation),
    ...targetMismatches(expects, simulation),
    ...sequenceMismatches(expects, simulation.entries, runbook),
    ...listMismatches(expects, simulation.entries),
  ];
}

function endMismatches(expects: Expectation, { finish, durationMs: tookMs }: Simulation): readonly Mismatch[] {
  const found: Mismatch[] = [];
  const { state, error, outputs, summary, within } = expects;
  const why = finish?.error === undefined ? '' : ` (${finish.error.code}: ${finish.error.message})`;
  if (finish?.state !== state) {
    found.push({ path: ['state'], message: `the run ended as ${finish?.state ?? 'nothing'}${why}, not as ${state}` });
  }
  if (error !== undefined && finish?.error?.code !== error) {
    const was = finish?.error === undefined ? 'without an error' : `with ${finish.error.code}`;
    found.push({
      path: ['error'],
      message: `the run ended ${was}, not with ${error}${finish?.error === undefined ? '' : why}`,
    });
  }
  for (const [name, wanted] of Object.entries(outputs ?? {})) {
    const actual = finish?.outputs?.[name];
    if (actual !== undefined && canonicalJson(actual) === canonicalJson(wanted)) continue;
    const was = actual === undefined ? 'is not there' : `is ${JSON.stringify(actual)}`;
    found.push({ path: ['outputs', name], message: `the output "${name}" ${was}, not ${JSON.stringify(wanted)}` });
  }
  if (summary !== undefined && finish?.summary !== summary) {
    found.push({ path: ['summary'], message: `the summary is ${JSON.stringify(finish?.summary ?? null)}` });
  }
  if (within !== undefined && tookMs > durationMs(within)) {
    found.push({
      path: ['within'],
      message: `the run took ${tookMs / 1000} s of simulated time, more than ${durationMs(within) / 1000} s`,
    });
  }
  return found;
}

function targetMismatches({ targets = {} }: Expectation, simulation: Simulation): readonly Mismatch[] {
  return Object.entries(targets).flatMap(([name, wanted]): Mismatch[] => {
    const state = Object.hasOwn(simulation.targets, name) ? simulation.targets[name] : undefined;
    if (state === wanted) return [];
    const message =
      state === undefined ? `${name} is not a target of the run` : `${name} ended as ${state}, not as ${wanted}`;
    return [{ path: ['targets', name], message }];
  });
}

function sequenceMismatches(
  expects: Expectation,
  entries: readonly RehearsedEntry[],
  runbook: string,
): readonly Mismatch[] {
  const found: Mismatch[] = [];
  let from = 0;
  for (const [index, pattern] of (expects.sequence ?? []).entries()) {
    const at = entries.findIndex((entry, place) => place >= from && matchesEntry(pattern, entry, runbook));
    if (at < 0) {
      const isEarlier = entries.slice(0, from).some((entry) => matchesEntry(pattern, entry, runbook));
      const message = `there is no ${describePattern(pattern)}${isEarlier ? ' after those before it; there is one before them' : ''}`;
      found.push({ path: ['sequence', index], message });
      break;
    }
    from = at + 1;
  }
  for (const [index, pattern] of (expects.absent ?? []).entries()) {
    const entry = entries.find((candidate) => matchesEntry(pattern, candidate, runbook));
    if (entry === undefined) continue;
    found.push({ path: ['absent', index], message: `there is ${describePattern(pattern)}: entry ${entry.seq}` });
  }
  return found;
}

function listMismatches(
  { steps, approvals, rollbacks }: Expectation,
  entries: readonly RehearsedEntry[],
): readonly Mismatch[] {
  const own = entries.filter(({ run }) => run === 1);
  const pathsOf = (kind: string): string[] => own.filter((entry) => entry.kind === kind).map(({ step }) => step ?? '');
  // The same step on several targets, and its further attempts, count once; what is looked at between waves is no step.
  const started = pathsOf('step-started')
    .filter((path) => !/#gate\d+$/.test(path))
    .filter((path, index, all) => all.indexOf(path) === index);
  const undone = own
    .filter(({ kind }) => kind === 'undo-started')
    .map(({ step, target }) => `${step ?? ''}${target === null ? '' : ` on ${target}`}`);
  const wanted = rollbacks?.map(({ step, target }) => `${step}${target === undefined ? '' : ` on ${target}`}`);
  return [
    ...listMismatch('steps', 'the steps that were started', steps, started),
    ...listMismatch('approvals', 'the approvals that were asked for', approvals, pathsOf('approval-asked')),
    ...listMismatch('rollbacks', 'the steps that were undone', wanted, undone),
  ];
}

function listMismatch(
  member: string,
  what: string,
  wanted: readonly string[] | undefined,
  actual: readonly string[],
): readonly Mismatch[] {
  if (
    wanted === undefined ||
    (wanted.length === actual.length && wanted.every((one, index) => one === actual[index]))
  ) {
    return [];
  }
  const at = wanted.findIndex((one, index) => one !== actual[index]);
  const path = at < 0 ? [member] : [member, at];
  return [{ path, message: `${what} are ${actual.length === 0 ? 'none' : actual.join(', ')}` }];
}

/** Whether an entry is of a pattern; a text is the start of a step. */
export function matchesEntry(pattern: EntryPattern, entry: RehearsedEntry, runbook: string): boolean {
  if (typeof pattern === 'string') {
    return entry.kind === 'step-started' && entry.runbook === runbook && matchesStep(pattern, entry.step ?? '');
  }
  const { attempt, error, state } = entry.data;
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return (
    entry.runbook === (pattern.runbook ?? runbook) &&
    (pattern.entry === undefined || pattern.entry === entry.kind) &&
    (pattern.step === undefined || (entry.step !== null && matchesStep(pattern.step, entry.step))) &&
    (pattern.target === undefined || pattern.target === entry.target) &&
    (pattern.state === undefined || pattern.state === state) &&
    (pattern.attempt === undefined || pattern.attempt === attempt) &&
    (pattern.error === undefined || pattern.error === code)
  );
}

function describePattern(pattern: EntryPattern): string {
  if (typeof pattern === 'string') return `start of step ${pattern}`;
  const { entry = 'entry', ...rest } = pattern;
  const members = Object.entries(rest).map(([name, value]) => `${name} ${String(value)}`);
  return `${entry}${members.length === 0 ? '' : ` with ${members.join(', ')}`}`;
}
