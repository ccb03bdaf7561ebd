import {
  claimTargets,
  forgetClosures,
  noteClosure,
  postponeClosed,
  readAssetCover,
  readProgress,
  seatsLeft,
  type ClaimedTarget,
  type ClaimRequest,
  type ClaimResult,
  type ClosedTarget,
  type LockedRun,
  type Transaction,
} from '@fettle/database';
import { bothGates, type CalendarGate, type GateState } from '@fettle/calendar';
import { closureOf, coverOf, groupGate, lookAgainAt, namedGate, readCalendars } from '@fettle/operations';
import type { KnownRun } from './load-run.js';

/** Of a resumed run: targets whose detached command of the run before may run on, to be taken up and not begun. */
export type RunningOn = (targets: readonly ClaimedTarget[]) => Promise<ReadonlySet<string>>;

/** It is in its `finally`, or on the way to one: what it has begun is to be put in order. */
function isCleaningUp({ failing, stepIndex }: ClaimedTarget, { targetCodes }: KnownRun): boolean {
  return failing > 0 || targetCodes[stepIndex]?.isLast === true;
}

/** Claims that one turn makes at most to come past targets whose calendars are closed. */
const MAX_ROUNDS = 10;

/**
 * Claims targets whose calendars are open, as they stand in this very transaction. Others go back, due at the next opening: their claim
 * holds no slot. A target that has begun goes on to its end, unless the run says that it parks; what runs detached, and a `finally`,
 * are never held.
 */
export async function claimOpen(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  loaded: KnownRun,
  runningOn: RunningOn,
): Promise<ClaimResult> {
  let claim = await claimTargets(transaction, run, request);
  if (loaded.calendar?.override || request.shielded === true || claim.gate !== 'open') {
    return noted(transaction, run, request, claim);
  }
  let unchecked = claim.targets;
  for (let round = 1; unchecked.length > 0; round += 1) {
    const closed = await closedAmong(transaction, loaded, unchecked, runningOn);
    if (closed.length === 0) break;
    await postponeClosed(transaction, run, closed);
    const refused = new Set(closed.map(({ target }) => target));
    const targets = claim.targets.filter((target) => !refused.has(target));
    const { nextDueMs } = await readProgress(transaction, run, request);
    claim = { ...claim, targets, claimedCount: claim.claimedCount - closed.length, nextDueMs, done: false };
    const limit = request.limit - targets.length;
    if (round >= MAX_ROUNDS || limit <= 0) break;
    const more = await claimTargets(transaction, run, { ...request, limit, seats: seatsLeft(request, targets) });
    unchecked = more.targets;
    claim = { ...more, targets: [...targets, ...more.targets] };
  }
  return noted(transaction, run, request, claim);
}

/** While all that is left of the run waits for a calendar, its deadline stands still. */
async function noted(
  transaction: Transaction,
  run: LockedRun,
  request: ClaimRequest,
  claim: ClaimResult,
): Promise<ClaimResult> {
  const isIdle =
    claim.gate === 'open' &&
    !claim.done &&
    claim.claimedCount === 0 &&
    claim.parkedCount === 0 &&
    claim.nextDueMs !== 0;
  await noteClosure(transaction, run, request, isIdle);
  return claim;
}

async function closedAmong(
  transaction: Transaction,
  loaded: KnownRun,
  claimed: readonly ClaimedTarget[],
  runningOn: RunningOn,
): Promise<ClosedTarget[]> {
  const parks = loaded.calendar?.onClose === 'park';
  const mayWait = (target: ClaimedTarget): boolean =>
    target.state === 'pending' || (parks && !isCleaningUp(target, loaded));
  const asked = claimed.filter((target) => !target.isParked && mayWait(target));
  const going = asked.length === 0 ? new Set() : await runningOn(asked);
  const targets = asked.filter(({ assetId }) => !going.has(assetId));
  await forget(
    transaction,
    loaded,
    asked.filter(({ assetId }) => going.has(assetId)),
  );
  if (targets.length === 0) return [];
  const named = loaded.calendar?.named ?? [];
  const calendars = loaded.onlyLooks && named.length === 0 ? [] : await readCalendars(transaction, loaded.space);
  const covered = loaded.onlyLooks ? null : coverOf(calendars);
  const ids = targets.map(({ assetId }) => assetId);
  if (covered === null && named.length === 0) {
    // A calendar may have been taken from them since they were put off.
    await forget(transaction, loaded, targets);
    return [];
  }
  const ownGate = namedGate(calendars, named);
  const cover = covered === null ? null : await readAssetCover(transaction, ids, covered.cover);
  const states = new Map<string, GateState>();
  const nowMs = Date.now();
  const closed: ClosedTarget[] = [];
  for (const target of targets) {
    const group = cover?.get(target.assetId);
    const key = group === undefined ? '' : JSON.stringify([group.site, group.held]);
    const gateOfGroup = (): CalendarGate =>
      group === undefined || covered === null ? ownGate : bothGates([ownGate, groupGate(covered.selected, group)]);
    const state = states.get(key) ?? gateOfGroup()(nowMs);
    states.set(key, state);
    if (state.isOpen) continue;
    const closure = closureOf(state);
    closed.push({ ...closure, target, lookAgainAt: lookAgainAt(closure, nowMs) });
  }
  const waits = new Set(closed.map(({ target }) => target));
  await forget(
    transaction,
    loaded,
    targets.filter((target) => !waits.has(target)),
  );
  return closed;
}

/** What was put off before goes on. */
async function forget(transaction: Transaction, { runId }: KnownRun, targets: readonly ClaimedTarget[]): Promise<void> {
  const ids = targets.filter(({ wasClosed }) => wasClosed).map(({ assetId }) => assetId);
  if (ids.length > 0) await forgetClosures(transaction, runId, ids);
}
