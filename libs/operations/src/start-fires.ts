import { FettleError } from '@fettle/contracts';
import {
  completeNewRuns,
  copyNewTargets,
  dropNewRuns,
  enqueueCommands,
  insertRuns,
  readTargetSet,
  saveNotifiedStates,
  type NewTargets,
  type StoredSchedule,
  type Transaction,
} from '@fettle/database';
import { uuidv7 } from 'uuidv7';
import { readCalendars } from './calendar-book.js';
import type { OperationContext } from './context.js';
import { holdNewRun, type HeldRun } from './hold-to-calendars.js';
import { newRunRow, queuedEntry, startCommand, startedChange } from './new-run.js';
import { recordAudits } from './record-audit.js';
import { requireUnnarrowed } from './require-unnarrowed.js';
import { resolveClosure } from './resolve-closure.js';
import { selectorOf } from './run-selector.js';
import { selectTargets } from './select-targets.js';
import { setRollout } from './set-rollout.js';
import { fireContext, fireOptions, scheduledRequest } from './start-fire.js';
import { checkedInputs, readStartable, requesterId, startRequest, type AcceptRequest } from './start-run.js';

/** Targets that the runs of one set get; what would have more is left for transactions of their own. */
const MAX_TARGETS_OF_SET = 5_000;

/** An instant whose run is to start now. */
export interface InstantToStart {
  readonly schedule: StoredSchedule;
  readonly nominalAt: string;
}

/** Everything but the instant: what schedules that ask for the same have in common, read once. */
type Common = Awaited<ReturnType<typeof readCommon>>;

interface Starting {
  readonly id: string;
  readonly scheduleId: string;
  readonly context: OperationContext;
  readonly request: AcceptRequest;
  readonly common: Common;
}

/**
 * Starts the runs of instants, each of another schedule, as `startFire` does, but reads what they have in common once, and writes all
 * of them with one statement a table. @returns the runs by schedule; of a schedule that is missing nothing was written: it is to be
 * started alone, which tells what is wrong with it.
 */
export async function startFires(
  transaction: Transaction,
  instants: readonly InstantToStart[],
): Promise<ReadonlyMap<string, string>> {
  const groups = await readGroups(transaction, instants);
  const order = new Map(instants.map(({ schedule }, index) => [schedule.id, index]));
  const runs = groups.flat().sort((a, b) => order.get(a.scheduleId)! - order.get(b.scheduleId)!);
  await insertRuns(
    transaction,
    runs.map(({ id, context, request, common }) =>
      newRunRow(id, request, { ...common, requestedBy: requesterId(context) }),
    ),
  );
  const targets = new Map<string, NewTargets>();
  let room = runs.length === 1 ? Infinity : MAX_TARGETS_OF_SET;
  for (const group of groups) {
    for (const [id, found] of await writeTargets(group, room)) {
      targets.set(id, found);
      room -= found.count;
    }
  }
  const complete = runs.flatMap((run) => {
    const found = targets.get(run.id);
    return found === undefined ? [] : [{ ...run, targets: found }];
  });
  await completeNewRuns(
    transaction,
    complete.map((run) => ({ ...run.targets, id: run.id, entry: queuedEntry(run.context, run.request, run.targets) })),
  );
  const held = await holdRuns(complete);
  const started = complete.filter(({ id }) => held.has(id));
  await dropNewRuns(
    transaction,
    runs.filter(({ id }) => !held.has(id)).map(({ id }) => id),
  );
  await recordAudits(
    transaction,
    started.map(({ id, context, request, common, targets: found }) => ({
      context,
      change: startedChange(id, request, { ...common, targets: found, held: held.get(id) ?? null }),
    })),
  );
  await enqueueCommands(
    transaction,
    started.map(({ id, request }) => startCommand(id, request)),
  );
  return new Map(started.map(({ id, scheduleId }) => [scheduleId, id]));
}

/** Those that ask for the same, without those that may not, or cannot, have it. */
async function readGroups(transaction: Transaction, instants: readonly InstantToStart[]): Promise<Starting[][]> {
  const groups = new Map<string, InstantToStart[]>();
  for (const instant of instants) {
    const { space, createdBy, document } = instant.schedule;
    const { runbook, inputs, targets, calendars, onClose } = document.spec;
    const key = JSON.stringify([space, createdBy, runbook, inputs, targets, calendars, onClose]);
    groups.set(key, [...(groups.get(key) ?? []), instant]);
  }
  const found: Starting[][] = [];
  for (const group of groups.values()) {
    const first = group[0];
    const common = first === undefined ? null : await unlessRefused(() => readCommon(transaction, first.schedule));
    if (common !== null) found.push(group.map((instant) => startingOf(instant, common)));
  }
  return found;
}

/** @throws FettleError as `startFire` */
async function readCommon(transaction: Transaction, schedule: StoredSchedule) {
  const context = await fireContext(transaction, schedule, schedule.createdBy);
  const request = scheduledRequest(schedule, 'nominal');
  const { space } = request;
  const startable = await readStartable(context, request);
  const { spec } = startable;
  const inputs = await checkedInputs(context, { ...request, spec });
  const selector = selectorOf({ ...request, spec });
  // Steps that act beyond assets cannot be narrowed to some.
  if (selector === null) requireUnnarrowed(context, 'run:start', space);
  const { calendars = [], onClose } = schedule.document.spec;
  const names = [...calendars, ...(spec.calendars ?? [])];
  const mayBeHeld =
    names.length > 0 ||
    (onClose ?? spec.onClose ?? 'finish') !== 'finish' ||
    (await readCalendars(transaction, space)).length > 0;
  const closure = await resolveClosure(transaction, space, spec);
  return { context, request, startable, inputs, selector, closure, mayBeHeld };
}

function startingOf({ schedule, nominalAt }: InstantToStart, common: Common): Starting {
  const { context, request, startable } = common;
  return {
    id: uuidv7(),
    scheduleId: schedule.id,
    // What one instant does is one occasion.
    context: { ...context, actor: { ...context.actor, requestId: uuidv7() } },
    request: startRequest(request, startable, fireOptions(schedule, { nominalAt, source: 'nominal' })),
    common,
  };
}

/** The targets of runs that select the same: looked for once, and the same for all. Empty: they are to be started alone. */
async function writeTargets(group: readonly Starting[], room: number): Promise<ReadonlyMap<string, NewTargets>> {
  const [first, ...others] = group;
  if (first === undefined || room <= 0) return new Map();
  const { transaction } = first.context;
  const found = await unlessRefused(async () => {
    const targets = await targetsOf(first);
    if (targets.count * group.length > room) return null;
    await copyNewTargets(transaction, first.id, targets.count === 0 ? [] : others.map(({ id }) => id));
    const { rollout, notify } = first.common.startable.spec;
    for (const { id } of group) {
      await setRollout(transaction, id, rollout, targets.count);
      if (notify === undefined) continue;
      await saveNotifiedStates(
        transaction,
        id,
        notify.map(({ on }) => on),
      );
    }
    return targets;
  });
  return new Map(found === null ? [] : group.map(({ id }) => [id, found]));
}

async function targetsOf({ id, context, request, common }: Starting): Promise<NewTargets> {
  if (common.selector === null) return { ...(await readTargetSet(context.transaction, id)), undetermined: 0 };
  return selectTargets(context, { id, space: request.space }, common.selector, request);
}

/** What holds each of the runs, as far as they may start now: null is nothing. */
async function holdRuns(
  runs: readonly (Starting & { readonly targets: NewTargets })[],
): Promise<ReadonlyMap<string, HeldRun | null>> {
  const held = new Map<string, HeldRun | null>();
  for (const { id, context, request, common, targets } of runs) {
    if (!common.mayBeHeld) {
      held.set(id, null);
      continue;
    }
    const found = await unlessRefused(async () => ({
      by: await holdNewRun(context, request, { id, targetCount: targets.count }),
    }));
    if (found !== null) held.set(id, found.by);
  }
  return held;
}

/** Null: it was refused, with a reason that whoever starts it alone finds again. */
async function unlessRefused<Result>(work: () => Promise<Result>): Promise<Result | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FettleError) return null;
    throw error;
  }
}
