import { walkSteps, type RunbookSpec } from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import {
  listControlJournal,
  listStepsOnTargets,
  listUnfinishedCalls,
  lockContinuableRun,
  type ContinuableRun,
} from '@fettle/database';
import { compileRunbook, digestOf } from '@fettle/runbook';
import { diffDocuments, formatDiffLine } from '@fettle/runbook/source';
import type { OperationContext } from './context.js';
import { MAX_DEPTH } from './continue-run.js';
import { compareVersions } from './edited-version.js';
import { findRunbook, storedSpec } from './start-run.js';

/** A runbook that a run calls, where another version of it is called from now on. */
export interface EditedCall {
  readonly runbook: string;
  readonly from: string;
  readonly to: string;
  readonly diff: readonly string[];
  /** Steps of runs that are taken up with it, as `path of the call > path`: done, and they read otherwise now. */
  readonly changedDone: readonly string[];
  /** The same: done, and not in that version. */
  readonly gone: readonly string[];
}

/** What the run goes on with. */
export interface GoesOnWith {
  readonly spec: RunbookSpec;
  readonly closure: Readonly<Record<string, string>> | null;
  /** Paths of its own steps that are known, and so not come to again. */
  readonly known: Readonly<Record<string, unknown>>;
}

/** In what the runbooks that a run calls differ from those that it called, or would have called, in their own right or below. */
export async function compareCalls(
  context: OperationContext,
  run: ContinuableRun,
  goesOn: GoesOnWith,
): Promise<readonly EditedCall[]> {
  const calls = new CallComparison(context, run.space, goesOn.closure);
  for (const [runbook, to] of Object.entries(goesOn.closure ?? {})) {
    const from = run.closure?.[runbook];
    if (from !== undefined && from !== to) await calls.note(runbook, from, to);
  }
  await calls.below(run, goesOn.spec, goesOn.known, '', 0);
  return calls.found();
}

/** What a person acknowledges: the version alone, or with those of the runbooks that it calls where these are others, too. */
export function digestToAcknowledge(version: string, called: readonly EditedCall[]): string {
  if (called.length === 0) return version;
  return digestOf({ version, called: called.map(({ runbook, from, to }) => ({ runbook, from, to })) });
}

interface Edited {
  readonly diff: readonly string[];
  readonly changedDone: string[];
  readonly gone: string[];
}

class CallComparison {
  readonly #edited = new Map<string, EditedCall & Edited>();

  constructor(
    private readonly context: OperationContext,
    private readonly space: string,
    private readonly closure: Readonly<Record<string, string>> | null,
  ) {}

  found(): readonly EditedCall[] {
    return [...this.#edited.keys()].sort().map((key) => this.#edited.get(key)!);
  }

  async note(runbook: string, from: string, to: string): Promise<Edited> {
    const key = `${runbook} ${from} ${to}`;
    const known = this.#edited.get(key);
    if (known !== undefined) return known;
    const { context, space } = this;
    const before = await findRunbook(context, { space, runbook, version: from });
    const now = await findRunbook(context, { space, runbook, version: to });
    const diff = diffDocuments(before.parsed, now.parsed).map(formatDiffLine);
    const noted = { runbook, from, to, diff, changedDone: [], gone: [] };
    this.#edited.set(key, noted);
    return noted;
  }

  /** Looks into the runs that are taken up inside of this one. */
  async below(
    run: Pick<ContinuableRun, 'id'>,
    spec: RunbookSpec,
    known: Readonly<Record<string, unknown>>,
    prefix: string,
    depth: number,
  ): Promise<void> {
    const { context, space, closure } = this;
    if (depth >= MAX_DEPTH) return;
    for (const { path, childRunId } of await listUnfinishedCalls(context.transaction, run.id)) {
      const call = Object.hasOwn(known, path) ? undefined : callAt(spec, path);
      const child = call === undefined ? null : await lockContinuableRun(context.transaction, childRunId);
      // Another runbook is called from the beginning.
      if (call === undefined || child === null || child.runbook !== call.runbook) continue;
      const { runbook } = child;
      const stored = await findRunbook(context, { space, runbook, version: call.version ?? closure?.[runbook] });
      const childSpec = storedSpec({ runbook, space }, stored);
      const where = `${prefix}${path} > `;
      if (stored.version !== child.version) {
        await this.#compareDone(child, childSpec, where, await this.note(runbook, child.version, stored.version));
      }
      await this.below(child, childSpec, {}, where, depth + 1);
    }
  }

  async #compareDone(child: ContinuableRun, spec: RunbookSpec, where: string, into: Edited): Promise<void> {
    const { transaction } = this.context;
    const { fits, isChanged } = compareVersions(child, compileRunbook(spec, actionContracts));
    const own = (await listControlJournal(transaction, child.id)).filter(
      ({ state, isUndone }) => !isUndone && (state === 'succeeded' || state === 'skipped'),
    );
    const onTargets = (await listStepsOnTargets(transaction, child.id)).filter(({ isDone }) => isDone);
    for (const path of [...own.map((step) => step.path), ...onTargets.map(({ step }) => step)]) {
      if (!fits(path)) into.gone.push(where + path);
      else if (isChanged(path)) into.changedDone.push(where + path);
    }
  }
}

function callAt(
  { steps, handlers = {} }: RunbookSpec,
  path: string,
): { runbook: string; version?: string | undefined } | undefined {
  // Without the iterations around it, a path is the id of its step.
  const id = path.replace(/^.*\]\//, '');
  for (const list of [steps, ...Object.values(handlers)]) {
    for (const step of walkSteps(list)) if ('call' in step && step.id === id) return step.call;
  }
  return undefined;
}
