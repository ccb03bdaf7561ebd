import { ApplicationFailure } from '@temporalio/common';
import { FettleError, runbookDocumentSchema, type RunbookSpec, type Step } from '@fettle/contracts';
import { readRunDefinition, type RunDefinition } from '@fettle/database';
import { compileProgram, compileStep, type CompiledStep, type Program } from '@fettle/runbook';
import { findAction } from '../actions.js';
import { actionContracts } from '../contracts.js';
import { declaredSecrets, rememberDeclaredSecrets } from './declared-secrets.js';
import type { WorkerServices } from './services.js';

export interface LoadedRun extends RunDefinition {
  readonly steps: readonly Step[];
  /** Steps of target scope in order; a target's `step_index` counts in these. */
  readonly targetSteps: readonly Step[];
  /** Conditions and templates of `targetSteps`, parsed once for all targets. */
  readonly compiledSteps: readonly CompiledStep[];
  readonly program: Program;
  /** Names of the credentials that the run declares: their values are masked in all that it leaves behind. */
  readonly declaredSecrets: readonly string[];
}

/** Steps of target scope, in the order in which every target passes through them. */
export function targetStepsOf(steps: readonly Step[]): readonly Step[] {
  return steps.filter((step) => findAction(step.uses)?.scope === 'target');
}

/** Reads what a run executes: its own version of the runbook, whatever was applied since. */
export async function loadRun(services: WorkerServices, runId: string): Promise<LoadedRun> {
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
  const { steps } = parsed.data.spec;
  const targetSteps = targetStepsOf(steps);
  const names = declaredSecrets(parsed.data.spec, definition.inputs);
  rememberDeclaredSecrets(services, runId, names);
  return {
    ...definition,
    steps,
    targetSteps,
    compiledSteps: targetSteps.map((step) => compileStep(step, 'target')),
    program: compileOrExplain(parsed.data.spec),
    declaredSecrets: names,
  };
}

function compileOrExplain(spec: RunbookSpec): Program {
  try {
    return compileProgram(spec, actionContracts);
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
export function mayReadFacts(run: LoadedRun): boolean {
  const others = JSON.stringify(run.targetSteps).replaceAll(/\basset\.(?!facts\b)[a-z_]+/gi, '');
  return /asset|facts/.test(others);
}
