import { setImmediate } from 'node:timers/promises';
import {
  FettleError,
  runbookDocumentSchema,
  walkSteps,
  type CallStep,
  type Plan,
  type RunbookSpec,
} from '@fettle/contracts';
import { actionContracts } from '@fettle/activities/contracts';
import {
  findDocument,
  findIdsOutside,
  listCredentialVersions,
  listSelectedIds,
  readTargetAssets,
  TARGET_CONDITION_FIRST_PARAMETER,
  type TargetAsset,
} from '@fettle/database';
import { assetColumnMap, compileSelector, type Selector } from '@fettle/expression';
import {
  calledKey,
  MAX_PLANNED_TARGETS,
  planSlices,
  validateInputs,
  type PlannedAttempt,
  type PlannedRunbook,
  type PlanTarget,
} from '@fettle/runbook/source';
import type { JsonObject } from '@fettle/runbook';
import type { Permission } from '@fettle/security';
import { assetCondition } from './asset-scope.js';
import type { OperationContext } from './context.js';
import { targetSelector } from './select-targets.js';

/** What a plan is made of, once it is known what is asked for. */
export interface PlanSubject {
  readonly space: string;
  readonly runbook: string;
  /** Digest of the version. */
  readonly version: string;
  readonly spec: RunbookSpec;
  /** Checked, with defaults. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly targetIds: readonly string[];
  readonly undetermined: number;
  readonly permission: Permission;
  /** Runbook -> digest of the version that its calls use; absent or null: the current ones. */
  readonly closure?: Readonly<Record<string, string>> | null | undefined;
}

/** Assets that are read at a time. */
const PAGE = 1000;
/** Runbooks that one plan follows calls into. */
const MAX_CALLED = 200;

/**
 * The plan of a run: what it would do now. Reads assets, credentials' versions and the called runbooks; changes nothing.
 * @throws FettleError as `planProgram`, and `denied` where a called runbook reaches beyond the actor's assets
 */
export async function makePlan(
  context: OperationContext,
  subject: PlanSubject,
  onPlanned?: (planned: PlannedAttempt) => void,
): Promise<Plan> {
  const { space, runbook, version, spec, targetIds, undetermined } = subject;
  const versions = await listCredentialVersions(context.transaction, space);
  const called = await readCalled(context, subject);
  const slices = planSlices({
    space,
    runbook,
    version,
    spec,
    actions: actionContracts,
    inputs: subject.inputs as JsonObject,
    targets: await readTargets(context, targetIds, readsFacts(spec)),
    undetermined,
    called,
    checkInputs: (of, inputs) => {
      const checked = validateInputs(of, inputs);
      if (checked.inputs !== null) return { inputs: checked.inputs };
      return { error: checked.findings[0]?.message ?? 'invalid inputs' };
    },
    onPlanned,
    credentialVersion: (name) => versions.get(name) ?? null,
  });
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
    // Others are served by the same thread.
    await setImmediate();
  }
}

/** Facts may be large: they are read only where anything could ask for them. */
function readsFacts(spec: RunbookSpec): boolean {
  const text = JSON.stringify(spec);
  return text.includes('facts') || /\basset\b(?!\s*\.)/.test(text);
}

async function readTargets(
  { transaction }: OperationContext,
  ids: readonly string[],
  facts: boolean,
): Promise<PlanTarget[]> {
  const targets: PlanTarget[] = [];
  // Refused by the plan, with a remedy; their assets need not be read for that.
  const wanted = ids.slice(0, MAX_PLANNED_TARGETS + 1);
  for (let from = 0; from < wanted.length; from += PAGE) {
    const assets = await readTargetAssets(transaction, wanted.slice(from, from + PAGE), { facts });
    for (const asset of assets.values()) targets.push(planTarget(asset));
  }
  return targets;
}

function planTarget(asset: TargetAsset): PlanTarget {
  const view = { ...asset, quarantined: asset.quarantineReason !== null };
  return { assetId: asset.id, name: asset.name, asset: view, credential: asset.endpoint?.credential ?? null };
}

/** Ids of the assets that a selector matches, as the targets of a run would be; one more than a plan takes at most. */
export function selectIds(
  { transaction }: OperationContext,
  space: string,
  selector: Selector,
): Promise<readonly string[]> {
  const compiled = compileSelector(selector, assetColumnMap, { firstParameter: TARGET_CONDITION_FIRST_PARAMETER });
  return listSelectedIds(transaction, space, compiled.where, MAX_PLANNED_TARGETS + 1);
}

/** @throws FettleError `denied` where one of the assets is outside of what the actor may touch */
export async function requireIdsAllowed(
  context: OperationContext,
  ids: readonly string[],
  { space, permission }: Pick<PlanSubject, 'space' | 'permission'>,
): Promise<void> {
  const allowed = context.scopeOf(permission, space);
  if (allowed === null) return;
  const condition = assetCondition(null, allowed, TARGET_CONDITION_FIRST_PARAMETER);
  if (condition === null) return;
  const outside = await findIdsOutside(context.transaction, ids, space, condition);
  if (outside.count === 0) return;
  const more = outside.count > outside.names.length ? ', ...' : '';
  throw new FettleError({
    code: 'denied',
    message: `You have no ${permission} for ${outside.count} of these targets: ${outside.names.join(', ')}${more}.`,
    remedy: 'Narrow it with --on to assets you have a role for, or ask an admin for one.',
    detail: { permission, space },
  });
}

/** The runbooks that the planned one calls, and those that they call. One that does not exist is left out, and the plan says so. */
async function readCalled(
  context: OperationContext,
  subject: PlanSubject,
): Promise<ReadonlyMap<string, PlannedRunbook>> {
  const called = new Map<string, PlannedRunbook>();
  const queue = [...callsOf(subject.spec)];
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
    const known = called.get(calledKey(call));
    const runbook = known ?? (await readRunbook(context, subject, call));
    if (runbook === null) continue;
    if (call.targets === 'own' && runbook.spec.targets !== undefined) {
      const ids = await selectIds(context, subject.space, targetSelector(runbook.spec.targets, call.on));
      await requireIdsAllowed(context, ids, subject);
    }
    if (known !== undefined) continue;
    called.set(calledKey(call), runbook);
    if (called.size > MAX_CALLED) {
      throw new FettleError({ code: 'limit-exceeded', message: `More than ${MAX_CALLED} runbooks call each other.` });
    }
    queue.push(...callsOf(runbook.spec));
  }
  return called;
}

function callsOf(spec: RunbookSpec): readonly CallStep['call'][] {
  const lists = [spec.steps, ...Object.values(spec.handlers ?? {})];
  return lists.flatMap((steps) => [...walkSteps(steps)].flatMap((step) => ('call' in step ? [step.call] : [])));
}

async function readRunbook(
  context: OperationContext,
  { space, closure }: PlanSubject,
  call: CallStep['call'],
): Promise<PlannedRunbook | null> {
  const version = call.version ?? closure?.[call.runbook];
  const stored = await findDocument(context.transaction, { space, kind: 'Runbook', name: call.runbook }, version);
  const parsed = stored === null ? null : runbookDocumentSchema.safeParse(stored.parsed);
  if (stored === null || parsed?.success !== true) return null;
  const { spec } = parsed.data;
  const ids =
    spec.targets === undefined ? [] : await selectIds(context, space, targetSelector(spec.targets, undefined));
  const targets = await readTargets(context, ids, readsFacts(spec) || (call.on ?? '').includes('facts'));
  return { name: call.runbook, version: stored.version, spec, targets };
}
