import { notFoundError, type RunAt, type RunDiff } from '@fettle/contracts';
import {
  compareTargetRows,
  countSameTargets,
  countTargetsAt,
  emptyCounts,
  findRunRow,
  listControlStepsAt,
  listStepResults,
  listTargetsAt,
  readComparedRun,
  readRunHead,
  type ComparedRun,
  type StepResultRow,
  type Transaction,
} from '@fettle/database';
import { canonicalJson } from '@fettle/runbook';
import { diffDocuments, formatDiffLine } from '@fettle/runbook/source';

/** Targets that an answer lists. */
const MAX_LISTED = 1000;

/** The state of a run after the entry of that number, told by the entries up to there alone. */
export async function readRunAt(transaction: Transaction, runId: string, at: number): Promise<RunAt> {
  const head = await readRunHead(transaction, runId, at);
  const counts = { ...emptyCounts() };
  for (const { state, count } of await countTargetsAt(transaction, runId, at)) counts[state] = count;
  const targets = await listTargetsAt(transaction, runId, at, MAX_LISTED + 1);
  return {
    runId,
    seq: head.seq,
    at: head.at?.toISOString() ?? null,
    lastSeq: head.lastSeq,
    state: head.state ?? 'queued',
    cancelRequested: head.cancelRequested,
    counts,
    controlSteps: await listControlStepsAt(transaction, runId, at),
    targets: targets.slice(0, MAX_LISTED),
    isCut: targets.length > MAX_LISTED,
  };
}

/** In what two runs differ: version, inputs, targets and what became of them, steps and how long they took. */
export async function diffRuns(transaction: Transaction, a: string, b: string): Promise<RunDiff> {
  for (const id of [a, b]) if (!(await findRunRow(transaction, id))) throw notFoundError('run', id);
  const [left, right] = [await readComparedRun(transaction, a), await readComparedRun(transaction, b)];
  const rows = await compareTargetRows(transaction, a, b, MAX_LISTED + 1);
  const shown = rows.slice(0, MAX_LISTED);
  const steps = [await listStepResults(transaction, a), await listStepResults(transaction, b)] as const;
  return {
    a: sideOf(left),
    b: sideOf(right),
    runbook: left.version === right.version ? [] : diffDocuments(left.document, right.document).map(formatDiffLine),
    inputs: diffDocuments(left.inputs, right.inputs).map(formatDiffLine),
    targets: {
      onlyA: shown.flatMap((row) => (row.b === null ? [row.asset] : [])),
      onlyB: shown.flatMap((row) => (row.a === null ? [row.asset] : [])),
      changed: shown.flatMap(({ asset, a: was, b: is }) =>
        was === null || is === null ? [] : [{ asset, a: was, b: is }],
      ),
      sameCount: await countSameTargets(transaction, a, b),
      isCut: rows.length > MAX_LISTED,
    },
    steps: compareSteps(...steps),
  };
}

function sideOf({ inputs: _inputs, document: _document, space: _space, error, ...side }: ComparedRun): RunDiff['a'] {
  return { ...side, error: error === null ? null : { code: error.code, message: error.message } };
}

function compareSteps(a: readonly StepResultRow[], b: readonly StepResultRow[]): RunDiff['steps'] {
  const [left, right] = [a, b].map(
    (rows) => new Map(rows.map(({ step, states, meanMs }) => [step, { states, meanMs }])),
  );
  const names = [...new Set([...a, ...b].map((row) => row.step))];
  return names.map((step) => {
    const [was, is] = [left?.get(step) ?? null, right?.get(step) ?? null];
    const isSame = was !== null && is !== null && sameStates(was.states, is.states);
    return { step, a: was, b: is, isSame };
  });
}

function sameStates(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
