import { isRecord, type JsonObject, type JsonValue } from '@fettle/runbook';
import type { RehearsedEntry, Simulation } from '@fettle/runbook/source';
import type { DataSource } from 'typeorm';

/** An entry without what differs from one execution to the next: numbers, times, ids, wording. */
export interface HistoryEntry {
  readonly kind: string;
  readonly target: string | null;
  readonly step: string | null;
  readonly data: JsonObject;
}

/** A run as both hosts have it, with the runs that it called. */
export interface RunHistory {
  readonly runbook: string;
  readonly state: string;
  readonly error: string | null;
  readonly outputs: JsonValue;
  readonly summary: string | null;
  readonly targets: Readonly<Record<string, string>>;
  readonly entries: readonly HistoryEntry[];
  /** By path of the step that called. */
  readonly called: Readonly<Record<string, RunHistory>>;
}

interface RawEntry {
  readonly kind: string;
  readonly target: string | null;
  readonly step: string | null;
  readonly data: JsonObject;
}

/** Members of an entry's data that both hosts have. */
const kept = [
  'attempt',
  'state',
  'exitCode',
  'next',
  'wave',
  'of',
  'targets',
  'counts',
  'soakMs',
  'undispatched',
  'left',
];
const keptOfNotes = ['branch', 'index', 'code', 'decision', 'wants'];

function normalised({ kind, target, step, data }: RawEntry): HistoryEntry {
  const known = Object.fromEntries(
    [...kept, ...keptOfNotes].flatMap((name) => (data[name] === undefined ? [] : [[name, data[name]]])),
  );
  const code = codeOf(data.error);
  const { rollback } = data;
  return {
    kind,
    target,
    step,
    data: {
      ...known,
      ...(code === null ? {} : { error: code }),
      ...(typeof rollback === 'object' && rollback !== null ? { rollback: sortedReport(rollback as JsonObject) } : {}),
    },
  };
}

/** In which order things were undone stands in the entries. */
function sortedReport(report: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(report).map(([name, paths]) => [name, [...(paths as string[])].sort()]));
}

function codeOf(error: unknown): string | null {
  return isRecord(error) && typeof error['code'] === 'string' ? error['code'] : null;
}

/**
 * Signals are sent from outside, more of them than steps wait for, and whether a run is seen to wait for people alone hangs on how quick
 * they are.
 */
const outside: ReadonlySet<string> = new Set(['signal-sent', 'run-waiting-approval', 'run-went-on']);
const isOfRun = ({ kind }: RawEntry): boolean => !outside.has(kind);

/** Reads a run that has ended, with those that it called. */
export async function readHistory(dataSource: DataSource, runId: string): Promise<RunHistory> {
  const [run] = await dataSource.query<
    { runbook: string; state: string; error: JsonValue; outputs: JsonValue; summary: string | null }[]
  >(`SELECT runbook, state, error, outputs, summary FROM run WHERE id = $1`, [runId]);
  if (run === undefined) throw new Error(`there is no run ${runId}`);
  const targets: { name: string; state: string }[] = await dataSource.query(
    `SELECT asset_name AS name, state FROM run_target WHERE run_id = $1 ORDER BY asset_name`,
    [runId],
  );
  const entries: RawEntry[] = await dataSource.query(
    `SELECT e.kind, t.asset_name AS target, e.step, e.data FROM entry e LEFT JOIN run_target t USING (run_id, asset_id)
     WHERE e.run_id = $1 ORDER BY e.seq`,
    [runId],
  );
  const called: Record<string, RunHistory> = {};
  for (const { kind, step, data } of entries) {
    if (kind === 'run-called') called[step ?? ''] = await readHistory(dataSource, data['runId'] as string);
  }
  return {
    runbook: run.runbook,
    state: run.state,
    error: codeOf(run.error),
    outputs: run.outputs,
    summary: run.summary,
    targets: Object.fromEntries(targets.map(({ name, state }) => [name, state])),
    entries: entries.filter(isOfRun).map(normalised),
    called,
  };
}

/** The same of a run in simulated time. */
export function historyOf(simulation: Simulation, number = 1): RunHistory {
  const own = simulation.entries.filter(({ run }) => run === number);
  const of = simulation.runs.find((run) => run.number === number);
  if (of === undefined) throw new Error(`there is no run ${number}`);
  const calls = own.filter(({ kind }) => kind === 'run-called');
  const called = calls.map(({ step, data }): [string, RunHistory] => [
    step ?? '',
    historyOf(simulation, Number(data['run'])),
  ]);
  return {
    runbook: of.runbook,
    state: of.finish?.state ?? 'running',
    error: of.finish?.error?.code ?? null,
    outputs: of.finish?.outputs ?? null,
    summary: of.finish?.summary ?? null,
    targets: sorted(of.targets),
    entries: own.filter(isOfRun).map((entry: RehearsedEntry) => normalised(entry)),
    called: Object.fromEntries(called),
  };
}

function sorted(targets: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(targets).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What of a history does not hang on who was quicker; two executions of the same run have the same. */
export interface ComparableHistory {
  readonly end: Omit<RunHistory, 'entries' | 'called'>;
  /** Entries of each target in their order. */
  readonly byTarget: Readonly<Record<string, readonly HistoryEntry[]>>;
  /** Entries of each step of the run in their order; '' has those of the run itself. */
  readonly byPath: Readonly<Record<string, readonly HistoryEntry[]>>;
  /**
   * Where nothing happens beside something else: entries of the run and its steps in their order, each with the number of entries of
   * targets before it.
   */
  readonly inOrder: readonly (HistoryEntry & { readonly after: number })[] | null;
  readonly called: Readonly<Record<string, ComparableHistory>>;
}

/** Comes whenever the limit is passed, in the middle of a segment. */
const isRacy = ({ kind }: HistoryEntry): boolean => kind === 'rollout-stopped';

export function comparable({ entries, called, ...end }: RunHistory, isSequential: boolean): ComparableHistory {
  const byTarget: Record<string, HistoryEntry[]> = {};
  const byPath: Record<string, HistoryEntry[]> = {};
  const inOrder: (HistoryEntry & { after: number })[] = [];
  let after = 0;
  for (const entry of entries) {
    if (entry.target !== null) {
      (byTarget[entry.target] ??= []).push(entry);
      after += 1;
      continue;
    }
    (byPath[entry.step ?? ''] ??= []).push(entry);
    if (!isRacy(entry)) inOrder.push({ ...entry, after });
  }
  return {
    end,
    byTarget,
    byPath,
    inOrder: isSequential ? inOrder : null,
    called: Object.fromEntries(Object.entries(called).map(([path, run]) => [path, comparable(run, isSequential)])),
  };
}
