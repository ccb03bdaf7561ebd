import { ApplicationFailure } from '@temporalio/common';
import { FettleError, runbookDocumentSchema, sizeBytes, type ActionStep, type RunbookSpec } from '@fettle/contracts';
import { readRunDefinition, type RunDefinition } from '@fettle/database';
import { onlyLooks } from '@fettle/operations';
import {
  compileRunbook,
  compileStep,
  type CompiledRunbook,
  type CompiledStep,
  type Program,
  type TargetCode,
} from '@fettle/runbook';
import { actionContracts } from '../contracts.js';
import { declaredSecrets, rememberDeclaredSecrets } from './declared-secrets.js';
import type { WorkerServices } from './services.js';

/** What a run executes, and what it is executed with; the same for as long as it goes on. */
export interface KnownRun extends Omit<RunDefinition, 'state' | 'waitsForOpening'> {
  /** Steps of target scope in the order in which targets pass through them; a target's `step_index` counts in these. */
  readonly targetCodes: readonly TargetCode[];
  /** The steps of `targetCodes`. */
  readonly targetSteps: readonly ActionStep[];
  /** Conditions and templates of `targetSteps`, parsed once for all targets. */
  readonly compiledSteps: readonly CompiledStep[];
  readonly program: Program;
  /** Names of the credentials that the run declares: their values are masked in all that it leaves behind. */
  readonly declaredSecrets: readonly string[];
  /** Kept of the output of each attempt; undefined: as much as by default. */
  readonly logBytes: number | undefined;
  /** `exclusive`: nobody else changes an asset while this run does; `shared`: only others that share. */
  readonly assetLock: 'exclusive' | 'shared';
  /** It changes nothing: calendars of its assets do not hold it. */
  readonly onlyLooks: boolean;
}

/** The same, with what stood in its row when it was read. */
export type LoadedRun = KnownRun & RunDefinition;

/** Runs that one process remembers. */
const MAX_REMEMBERED = 100;
const remembered = new WeakMap<WorkerServices, Map<string, Promise<LoadedRun>>>();

/** What a run executes never changes, and each of its lanes asks for it; of what may change (its state, its opening) nothing is told. */
export function recallRun(services: WorkerServices, runId: string): Promise<KnownRun> {
  return remembered.get(services)?.get(runId) ?? loadRun(services, runId);
}

/** It has ended. */
export function forgetRun(services: WorkerServices, runId: string): void {
  remembered.get(services)?.delete(runId);
}

/** Reads what a run executes: its own version of the runbook, whatever was applied since. */
export function loadRun(services: WorkerServices, runId: string): Promise<LoadedRun> {
  const runs = remembered.get(services) ?? new Map<string, Promise<LoadedRun>>();
  remembered.set(services, runs);
  const [oldest] = runs.keys();
  if (runs.size >= MAX_REMEMBERED && oldest !== undefined) runs.delete(oldest);
  const loaded = readRun(services, runId);
  runs.set(runId, loaded);
  loaded.catch(() => {
    if (runs.get(runId) === loaded) runs.delete(runId);
  });
  return loaded;
}

async function readRun(services: WorkerServices, runId: string): Promise<LoadedRun> {
  const definition = await readRunDefinition(services.dataSource.manager, runId);
  if (!definition) {
    throw ApplicationFailure.nonRetryable(`There is no run ${runId} in the database.`, 'run-not-found');
  }
  const parsed = runbookDocumentSchema.safeParse(definition.document);
  if (!parsed.success) {
    throw ApplicationFailure.nonRetryable(
      `The stored runbook of run ${runId} does not fit this version of Fettle.`,
      'invalid-document',
    );
  }
  const { program, targetCodes } = compileOrExplain(parsed.data.spec);
  const targetSteps = targetCodes.map((code) => code.step);
  const names = declaredSecrets(parsed.data.spec, definition.inputs);
  rememberDeclaredSecrets(services, runId, names);
  const { logLimit } = parsed.data.spec;
  return {
    ...definition,
    targetCodes,
    targetSteps,
    compiledSteps: targetSteps.map((step) => compileStep(step, 'target')),
    program,
    declaredSecrets: names,
    logBytes: logLimit === undefined ? undefined : sizeBytes(logLimit),
    assetLock: parsed.data.spec.assetLock ?? 'exclusive',
    onlyLooks: definition.calendar?.onlyLooks ?? onlyLooks(parsed.data.spec),
  };
}

function compileOrExplain(spec: RunbookSpec): CompiledRunbook {
  try {
    return compileRunbook(spec, actionContracts);
  } catch (error) {
    // Asking again would give the same answer for ever.
    if (error instanceof FettleError) throw ApplicationFailure.nonRetryable(error.message, error.code);
    throw error;
  }
}

/**
 * Facts of a host are large, and stay in the database where every mention of `asset` is another member of it (`asset.name`). What
 * cannot be told from the text counts as reading them.
 */
export function mayReadFacts(run: KnownRun): boolean {
  const others = JSON.stringify(run.targetSteps).replaceAll(/\basset\.(?!facts\b)[a-z_]+/gi, '');
  return /asset|facts/.test(others);
}
