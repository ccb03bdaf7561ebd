import { FettleError } from '@fettle/contracts';
import {
  countUndetermined,
  findTargetsOutside,
  insertTargets,
  TARGET_CONDITION_FIRST_PARAMETER,
  type TargetCondition,
} from '@fettle/database';
import { assetColumnMap, compileSelector, narrow, parseSelector, type Selector } from '@fettle/expression';
import type { Permission } from '@fettle/security';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { requireUnnarrowed } from './require-unnarrowed.js';

/** A run with more targets than this is refused: it would be a mistake, and its rows would not fit one transaction well. */
export const MAX_TARGETS = 200_000;

export interface SelectedTargets {
  readonly count: number;
  readonly digest: string;
  readonly undetermined: number;
}

const options = { firstParameter: TARGET_CONDITION_FIRST_PARAMETER };

/** The runbook's own selector, narrowed by `--on`; errors name the text they point into. */
export function targetSelector(runbookSelector: string, on: string | undefined): Selector {
  const own = parseSelector(runbookSelector, { origin: 'spec.targets' });
  return on === undefined ? own : narrow(own, parseSelector(on, { origin: 'on' }));
}

/**
 * Writes the targets of a new run: its set is resolved here, once.
 * @throws FettleError `no-targets`, `too-many-targets`, or `denied` where the actor may not touch one of them.
 */
export async function selectTargets(
  context: OperationContext,
  run: { readonly id: string; readonly space: string },
  selector: Selector,
  request: {
    readonly allowEmpty: boolean;
    readonly permission: Permission;
    /** Only targets of that run on which nothing failed; null: any asset. */
    readonly within?: string | null;
  },
): Promise<SelectedTargets> {
  const { transaction } = context;
  const compiled = compileSelector(selector, assetColumnMap, options);
  const where =
    request.within === null || request.within === undefined ? compiled.where : stillIn(request.within, compiled.where);
  const selected = await insertTargets(transaction, run.id, run.space, where);
  const undetermined = await countUndetermined(transaction, run.space, compiled);
  if (selected.count === 0 && !request.allowEmpty) throw noTargets(selector.source, run.space, undetermined);
  if (selected.count > MAX_TARGETS) {
    throw new FettleError({
      code: 'too-many-targets',
      message: `The selector matches ${selected.count} assets, more than ${MAX_TARGETS}.`,
      remedy: 'Narrow it with --on, and run it in parts.',
    });
  }
  await checkAllowed(context, run, request.permission);
  return { ...selected, undetermined };
}

/** Assets that the condition selects and that are targets of a run, as long as nothing failed on them. */
function stillIn(runId: string, { sql, parameters }: TargetCondition): TargetCondition {
  const number = TARGET_CONDITION_FIRST_PARAMETER + parameters.length;
  const open = `EXISTS (SELECT 1 FROM run_target p WHERE p.run_id = $${number} AND p.asset_id = a.id AND p.state IN ('pending', 'running', 'succeeded', 'skipped'))`;
  return { sql: `(${sql}) AND ${open}`, parameters: [...parameters, runId] };
}

export function noTargets(source: string, space: string, undetermined: number): FettleError {
  const unsure =
    undetermined > 0 ? ` For ${undetermined} assets it could not be determined, because a value is missing.` : '';
  return new FettleError({
    code: 'no-targets',
    message: `No asset in space "${space}" matches ${source}.${unsure}`,
    remedy: 'See what is there with `fettle asset list`, or pass --allow-empty if no target is fine.',
    detail: { undetermined },
  });
}

/**
 * Refuses unless every target of the run is within the actor's selectors; a run without targets reaches beyond assets, so that
 * whoever is narrowed to some may not touch it.
 * @throws FettleError `denied`
 */
export async function requireRunInScope(
  context: OperationContext,
  permission: Permission,
  run: { readonly id: string; readonly space: string; readonly targetCount: number },
): Promise<void> {
  if (run.targetCount === 0) requireUnnarrowed(context, permission, run.space);
  else await checkAllowed(context, run, permission);
}

/** @throws FettleError `denied` where a target of the run is outside the actor's selectors */
export async function checkAllowed(
  context: OperationContext,
  run: { readonly id: string; readonly space: string },
  permission: Permission,
): Promise<void> {
  const allowed = context.scopeOf(permission, run.space);
  if (allowed === null) return;
  const outside = await findTargetsOutside(
    context.transaction,
    run.id,
    run.space,
    assetCondition(null, allowed, TARGET_CONDITION_FIRST_PARAMETER)!,
  );
  if (outside.count === 0) return;
  const more = outside.count > outside.names.length ? ', ...' : '';
  throw new FettleError({
    code: 'denied',
    message: `You have no ${permission} for ${outside.count} of these targets: ${outside.names.join(', ')}${more}.`,
    remedy: 'Narrow the run with --on to assets you have a role for, or ask an admin for one.',
    detail: { permission, space: run.space },
  });
}
