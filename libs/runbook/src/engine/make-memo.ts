import type { JsonValue } from '../json.js';
import type { StepError } from './decide-step.js';
import type { KnownEnd, Memo } from './memo.js';
import type { Program, ProgramNode, TryNode } from './program-nodes.js';
import { childLists } from './targets.js';

/** A step of the run itself, as its last attempt left it. */
export interface JournaledStep {
  readonly path: string;
  readonly state: 'started' | 'succeeded' | 'failed' | 'skipped' | 'cancelled' | 'unknown';
  readonly output: JsonValue;
  readonly error: StepError | null;
  /** Of a step that is repeated until a condition holds: whether it did; null: it is none. */
  readonly holds: boolean | null;
  /** It was undone for certain: it is as if it had not been. */
  readonly isUndone: boolean;
  /** What a person found of one that is `unknown`, or has happened without its output; null: nobody has looked. */
  readonly resolvedAs: 'done' | 'not-done' | null;
  /** The run has it from the one before it. */
  readonly isCarried: boolean;
}

/** What stands in the journal of a run that has ended. */
export interface RunJournal {
  readonly steps: readonly JournaledStep[];
  /** Path of a `choose` -> number of the branch. */
  readonly chosen: Readonly<Record<string, number>>;
  /** Paths of steps whose failure was passed over, or caught. */
  readonly passed: readonly string[];
  readonly caught: readonly string[];
  /** Paths of the steps that were begun on any target. */
  readonly onTargets: readonly string[];
  /** Those of them that some target which goes on has not behind it. */
  readonly lacking: readonly string[];
  /** The way was gone to its end: only targets failed. */
  readonly isComplete: boolean;
}

/**
 * What another run may take as known of the steps of a run: those that ended well, or were skipped, and failures that it went on
 * after. A `try` whose `finally` was begun after its steps had not come through is begun anew, as its `finally` has cleared away what
 * they rely on; so is one with steps on targets that targets which go on have not behind them, though the run went on after it
 * because it tolerated their failure. An approval is asked for anew.
 */
export function makeMemo(program: Program, journal: RunJournal): Memo {
  return new MemoMaker(journal).make(program.nodes);
}

/**
 * Whether the run has gone on behind something, whatever failed in it: `at-end`: only because it came to its end, which says nothing
 * of the targets that failed; `behind`: steps behind it were begun, or its failure was passed over or caught; null: it has not.
 */
type Passed = 'behind' | 'at-end' | null;

class MemoMaker {
  readonly #ends = new Map<string, KnownEnd>();
  readonly #chosen = new Map<string, number>();
  readonly #steps: ReadonlyMap<string, JournaledStep>;
  readonly #passed: ReadonlySet<string>;
  readonly #caught: ReadonlySet<string>;
  readonly #begun: readonly string[];
  readonly #begunPaths: ReadonlySet<string>;
  readonly #lacking: ReadonlySet<string>;
  readonly #journal: RunJournal;

  constructor(journal: RunJournal) {
    this.#journal = journal;
    this.#steps = new Map(journal.steps.map((step) => [step.path, step]));
    this.#passed = new Set(journal.passed);
    this.#caught = new Set(journal.caught);
    this.#begun = [...this.#steps.keys(), ...journal.onTargets, ...Object.keys(journal.chosen)];
    this.#begunPaths = new Set(this.#begun);
    this.#lacking = new Set(journal.lacking);
  }

  make(nodes: readonly ProgramNode[]): Memo {
    this.#list(nodes, '', this.#journal.isComplete ? 'at-end' : null);
    return { ends: Object.fromEntries(this.#ends), chosen: Object.fromEntries(this.#chosen) };
  }

  /** True: all of it is known to have come through. */
  #list(nodes: readonly ProgramNode[], prefix: string, passed: Passed): boolean {
    let isGood = true;
    for (const [index, node] of nodes.entries()) {
      const isLeft = nodes.slice(index + 1).some((later) => this.#isBegun(later, prefix));
      if (!this.#node(node, prefix, isLeft ? 'behind' : passed)) isGood = false;
    }
    return isGood;
  }

  #isBegun(node: ProgramNode, prefix: string): boolean {
    const path = prefix + node.id;
    if (this.#begunPaths.has(path)) return true;
    if (node.kind === 'targets') return node.steps.some((step) => this.#begunPaths.has(prefix + step.id));
    if (node.kind === 'for-each') return this.#begun.some((one) => one.startsWith(`${path}[`));
    return childLists(node).some((nodes) => nodes.some((one) => this.#isBegun(one, prefix)));
  }

  /** A target that goes on has yet to come through a step in it. */
  #isLacking(node: ProgramNode, prefix: string): boolean {
    if (node.kind === 'targets') return node.steps.some((step) => this.#lacking.has(prefix + step.id));
    if (node.kind === 'for-each') return [...this.#lacking].some((one) => one.startsWith(`${prefix}${node.id}[`));
    return childLists(node).some((nodes) => nodes.some((one) => this.#isLacking(one, prefix)));
  }

  #node(node: ProgramNode, prefix: string, before: Passed): boolean {
    const path = prefix + node.id;
    const passed = this.#passed.has(path) ? 'behind' : before;
    const isPassed = passed !== null;
    const step = this.#steps.get(path);
    if (step?.state === 'skipped') {
      this.#ends.set(path, { state: 'skipped' });
      return true;
    }
    switch (node.kind) {
      case 'targets':
        return isPassed;
      case 'parallel':
        return node.branches.map((branch) => this.#list(branch.nodes, prefix, passed)).every(Boolean) || isPassed;
      case 'choose': {
        const chosen = this.#journal.chosen[path];
        if (chosen === undefined) return this.#leaf(path, step, isPassed);
        this.#chosen.set(path, chosen);
        return this.#list(node.branches[chosen]?.nodes ?? [], prefix, passed) || isPassed;
      }
      case 'for-each': {
        const keys = this.#keys(path);
        return keys.map((key) => this.#list(node.nodes, `${path}[${key}]/`, passed)).every(Boolean) && isPassed;
      }
      case 'try':
        return this.#try(node, path, prefix, passed);
      case 'approval':
        return step?.state === 'succeeded' || isPassed;
      default:
        return this.#leaf(path, step, isPassed);
    }
  }

  #leaf(path: string, step: JournaledStep | undefined, isPassed: boolean): boolean {
    const end = step === undefined ? null : knownEnd(step, isPassed);
    if (end !== null) this.#ends.set(path, end);
    return end !== null;
  }

  #try(node: TryNode, path: string, prefix: string, passed: Passed): boolean {
    const [ends, chosen] = [new Set(this.#ends.keys()), new Set(this.#chosen.keys())];
    const isPassed = passed !== null;
    const handler = node.catch ?? [];
    const isCaught = this.#caught.has(path) || handler.some((one) => this.#isBegun(one, prefix));
    const body = this.#list(node.nodes, prefix, isCaught ? 'behind' : passed);
    const caught = !isCaught || this.#list(handler, prefix, passed);
    if (node.finally === null) return (body && caught) || isPassed;
    const isCleared = node.finally.some((one) => this.#isBegun(one, prefix));
    const last = this.#list(node.finally, prefix, passed);
    // A run may go on, and come to its end, with targets that failed: they need again what the `finally` has cleared away.
    const isNeeded = isPassed && isCleared && [...node.nodes, ...handler].some((one) => this.#isLacking(one, prefix));
    if (!isNeeded && (isPassed || (body && caught))) return last || isPassed;
    if (!isCleared) return false;
    for (const one of this.#ends.keys()) if (!ends.has(one)) this.#ends.delete(one);
    for (const one of this.#chosen.keys()) if (!chosen.has(one)) this.#chosen.delete(one);
    return false;
  }

  /** Of the iterations that were begun. */
  #keys(path: string): readonly string[] {
    const keys = new Set<string>();
    for (const one of this.#begun) {
      if (one.startsWith(`${path}[`)) keys.add(one.slice(path.length + 1, one.indexOf(']', path.length)));
    }
    return [...keys];
  }
}

/** Null: it is to be done, or done again. */
function knownEnd(step: JournaledStep, isPassed: boolean): KnownEnd | null {
  const { state, output, error, holds, isUndone, resolvedAs, isCarried } = step;
  if (isUndone) return null;
  const isDone = state === 'succeeded' || resolvedAs === 'done';
  if (isDone) return holds === false ? null : { state: 'succeeded', ...(output === null ? {} : { output }) };
  if (state !== 'failed' && !(state === 'unknown' && resolvedAs === null)) return null;
  if (!isPassed && !(isCarried && state === 'failed')) return null;
  return { state: 'failed', error: error ?? { code: `step-${state}`, message: `it ended as ${state}` } };
}
