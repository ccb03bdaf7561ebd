import { durationMs, FettleError, type ApprovalStep, type Plan, type PlanDifference } from '@fettle/contracts';
import {
  appendEntries,
  endApproval,
  findLastRound,
  findRunRow,
  insertApproval,
  listRunOwners,
  lockRun,
  noteEscalation,
  notifyRun,
  saveLockedRun,
  type ApprovalRow,
  type NewEntry,
  type RunRow,
  type StoredError,
  type Transaction,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { driftMessage, driftOf, planApproved } from './approval-plan.js';
import { systemContext, type OperationContext } from './context.js';
import { recordAudit } from './record-audit.js';
import { keepPlan } from './require-planned.js';

/** A step that asks. */
export interface ApprovalRequest {
  readonly runId: string;
  readonly path: string;
  readonly approval: ApprovalStep['approval'];
  /** Rendered. */
  readonly message: string | null;
}

export type ApprovalReport =
  /** People are asked; look again at the latest after so long. */
  | { readonly kind: 'open'; readonly nextMs: number }
  | { readonly kind: 'approved' }
  /** The run was cancelled or has ended, or the step has. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'failed'; readonly error: StoredError };

/** Times that a step asks before its drift is final. */
export const MAX_ROUNDS = 20;
/** Differences that an entry lists; the approval itself has all of them. */
const MAX_ENTRY_DIFFERENCES = 20;
/** Somebody changed what this look found before it had the run's lock. */
const LOOK_AGAIN_MS = 200;

/**
 * Takes an approval one step further: asks where nobody is asked yet, notes that its time is over or that more people may decide, and
 * holds what was approved against what would be done now. Doing it again changes nothing. It plans the run before it takes any lock;
 * `begin` journals the step's start then, and tells whether it may ask.
 */
export async function askApproval(
  transaction: Transaction,
  request: ApprovalRequest,
  begin: () => Promise<boolean>,
): Promise<ApprovalReport> {
  const context = systemContext(transaction, request.runId);
  const before = await findLastRound(transaction, request);
  const plan = needsPlan(before) ? await planOrError(context, request.runId) : null;
  const run = (await findRunRow(transaction, request.runId))!;
  if (!(await begin())) return { kind: 'refused' };
  await lockRun(transaction, request.runId);
  const round = await findLastRound(transaction, request);
  if (needsPlan(round) && plan === null) return { kind: 'open', nextMs: LOOK_AGAIN_MS };
  if (round === null) return ask(context, request, { run, round: 1, plan: plan! });
  switch (round.state) {
    case 'open':
      return waitOn(context, round);
    case 'approved':
      return goOn(context, request, { run, round, plan: plan! });
    case 'rejected':
      return failed('approval-rejected', rejectionMessage(round), 'See `fettle approval show`; start it again.');
    case 'expired':
      if (round.notedState === 'open') await noteExpired(context, round);
      return failed(
        'approval-expired',
        `Nobody had approved it by ${round.expiresAt.toISOString()}: ${round.approvals} of ${round.rule.quorum}.`,
        'Start it again, or give the step more time with `expires`.',
      );
    case 'drifted':
      return afterDrift(context, request, { run, round, plan: plan! });
    case 'cancelled':
      return failed('cancelled', 'It was cancelled while it asked.');
  }
}

/** Ends what a step asks because the step itself ends; the run's lock is taken. */
export async function withdrawApproval(
  transaction: Transaction,
  step: { readonly runId: string; readonly path: string },
): Promise<void> {
  const run = await lockRun(transaction, step.runId);
  const round = await findLastRound(transaction, step);
  if (round === null || !(await endApproval(transaction, round.id, 'cancelled'))) return;
  const data = { approvalId: round.id, round: round.round };
  await appendEntries(transaction, run, [{ kind: 'approval-withdrawn', step: step.path, data }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, step.runId);
}

type Planned = Plan | FettleError;

interface Round {
  readonly run: RunRow;
  readonly round: ApprovalRow;
  readonly plan: Planned;
}

function needsPlan(round: ApprovalRow | null): boolean {
  return round === null || round.state === 'approved' || (round.state === 'drifted' && asksAgain(round));
}

function asksAgain({ rule, round }: ApprovalRow): boolean {
  return rule.onDrift === 'ask-again' && round < MAX_ROUNDS;
}

/** What cannot be planned cannot be approved either. */
async function planOrError(context: OperationContext, runId: string): Promise<Planned> {
  try {
    return await planApproved(context, runId);
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
}

function failed(code: string, message: string, remedy?: string): ApprovalReport {
  return { kind: 'failed', error: { code, message, ...(remedy === undefined ? {} : { remedy }) } };
}

async function ask(
  context: OperationContext,
  request: ApprovalRequest,
  { run, round, plan }: { readonly run: RunRow; readonly round: number; readonly plan: Planned },
): Promise<ApprovalReport> {
  if (plan instanceof FettleError) return failed(plan.code, `It cannot be approved: ${plan.message}`, plan.remedy);
  const { transaction } = context;
  const { runId, path, approval, message } = request;
  await keepPlan(context, plan);
  const id = uuidv7();
  const excluded = approval.allowSelf ? [] : await listRunOwners(transaction, runId);
  const escalatesMs = approval.escalate === undefined ? null : durationMs(approval.escalate.after);
  await insertApproval(transaction, {
    ...{ id, runId, space: run.space, path, round, message, rule: approval, excluded, planDigest: plan.digest },
    ...{ expiresMs: durationMs(approval.expires), escalatesMs },
  });
  const { roles, principals, quorum } = approval;
  const data = { approvalId: id, round, planDigest: plan.digest, message, roles, principals, quorum };
  await write(context, { runId, path }, { kind: 'approval-asked', data });
  await recordAudit(context, {
    action: 'approval.ask',
    space: run.space,
    object: { kind: 'approval', name: `${runId}/${path}`, id },
    detail: { runId, step: path, round, planDigest: plan.digest, roles, principals, quorum },
  });
  return waitOn(context, (await findLastRound(transaction, request))!);
}

async function waitOn(context: OperationContext, round: ApprovalRow): Promise<ApprovalReport> {
  const { rule, runId, path, id } = round;
  if (round.isEscalated && !round.isEscalationNoted) {
    await noteEscalation(context.transaction, id);
    const { roles = [], principals = [] } = rule.escalate ?? {};
    await write(context, { runId, path }, { kind: 'approval-escalated', data: { approvalId: id, roles, principals } });
    return { kind: 'open', nextMs: LOOK_AGAIN_MS };
  }
  // A little later, so that the database's clock has passed the moment.
  return { kind: 'open', nextMs: Math.ceil(round.nextMs ?? 0) + 50 };
}

async function goOn(context: OperationContext, request: ApprovalRequest, at: Round): Promise<ApprovalReport> {
  const { round, plan } = at;
  const differences = await differencesOf(context, round, plan);
  if (differences === null) return { kind: 'approved' };
  await noteDrift(context, round, differences);
  return afterDrift(context, request, { ...at, round: (await findLastRound(context.transaction, request))! });
}

async function differencesOf(
  context: OperationContext,
  round: ApprovalRow,
  plan: Planned,
): Promise<readonly PlanDifference[] | null> {
  if (!(plan instanceof FettleError)) return driftOf(context, round, plan);
  return [{ kind: 'step', subject: 'the plan', before: round.planDigest, after: plan.message }];
}

async function afterDrift(context: OperationContext, request: ApprovalRequest, at: Round): Promise<ApprovalReport> {
  const { round, run, plan } = at;
  if (asksAgain(round)) return ask(context, request, { run, round: round.round + 1, plan });
  const remedy = 'See `fettle approval show`; start it again, or let the step ask again with `onDrift: ask-again`.';
  return failed('plan-drift', driftMessage(round.differences ?? []), remedy);
}

/** Voids a round because what would be done is not what it asked about; the caller holds the run's lock. */
export async function noteDrift(
  context: OperationContext,
  { id, runId, path, space, round, planDigest }: ApprovalRow,
  differences: readonly PlanDifference[],
): Promise<void> {
  await endApproval(context.transaction, id, 'drifted', differences);
  const data = {
    ...{ approvalId: id, round, count: differences.length },
    differences: differences.slice(0, MAX_ENTRY_DIFFERENCES),
  };
  await write(context, { runId, path }, { kind: 'approval-drifted', data });
  await recordAudit(context, {
    action: 'approval.drift',
    space,
    object: { kind: 'approval', name: `${runId}/${path}`, id },
    detail: { runId, step: path, round, planDigest, differences: differences.length },
  });
}

async function noteExpired(context: OperationContext, round: ApprovalRow): Promise<void> {
  const { id, runId, path, space, planDigest } = round;
  await endApproval(context.transaction, id, 'expired');
  await write(context, { runId, path }, { kind: 'approval-expired', data: { approvalId: id, round: round.round } });
  await recordAudit(context, {
    action: 'approval.expire',
    space,
    object: { kind: 'approval', name: `${runId}/${path}`, id },
    detail: { runId, step: path, round: round.round, planDigest },
  });
}

async function write(
  { transaction }: OperationContext,
  { runId, path }: { readonly runId: string; readonly path: string },
  entry: NewEntry,
): Promise<void> {
  const run = await lockRun(transaction, runId);
  await appendEntries(transaction, run, [{ ...entry, step: path }]);
  await saveLockedRun(transaction, run);
  await notifyRun(transaction, runId);
}

function rejectionMessage({ decisions }: ApprovalRow): string {
  const rejection = decisions.find(({ decision }) => decision === 'reject');
  return `${rejection?.principal ?? 'Somebody'} rejected it: ${rejection?.reason ?? ''}`;
}
