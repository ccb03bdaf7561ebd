import { setImmediate } from 'node:timers/promises';
import {
  afterText,
  durationMs,
  type Forecast,
  type ForecastFinding,
  type ForecastQuery,
  type ForecastRun,
} from '@fettle/contracts';
import { listCapacityLimits, listEndedDurations, listScheduleRows, type StoredSchedule } from '@fettle/database';
import { DEFAULT_LIMIT } from '@fettle/runbook';
import type { OperationContext } from './context.js';
import { findCollisions, MAX_PAIRS, type Occupation } from './forecast-collisions.js';
import { DURATIONS_AMONG, DURATIONS_EACH, ForecastReading, type Coming } from './forecast-coming.js';
import { followingInstants, inOrderOfFollowing, isFollower } from './forecast-followers.js';
import { ForecastCalendars } from './forecast-gate.js';
import { openOccupations, type OpenOccupation } from './forecast-open-runs.js';
import { deadlineFindings, plain, type ForecastOutcome } from './forecast-outcomes.js';
import { comingInstants, waitingInstants, type ComingInstants } from './forecast-schedules.js';
import { ForecastTargets, targetsView } from './forecast-targets.js';
import { requireAsset } from './read-assets.js';

/** Schedules of the space that are looked at, by name. */
export const MAX_SCHEDULES = 1000;
/** Runs that a forecast lists. */
export const MAX_RUNS = 2000;
const DAY_MS = 86_400_000;

/**
 * What the schedules of a space are expected to do in the coming days, as things are now: selectors are evaluated now, durations are
 * those of ended runs. Takes no locks and starts nothing; what it leaves out, because of a limit or because only the run will know,
 * stands in `limits`.
 * @throws FettleError `not-found` for an asset that the actor does not see
 */
export async function forecast(
  context: OperationContext,
  query: ForecastQuery,
  options: { readonly now?: Date } = {},
): Promise<Forecast> {
  const { transaction } = context;
  const { space, days, asset = null } = query;
  if (asset !== null) await requireAsset(context, 'asset:read', { space, name: asset });
  const fromMs = Math.ceil((options.now ?? new Date()).getTime() / 1000) * 1000;
  const range = { fromMs, toMs: fromMs + days * DAY_MS };
  const limits: string[] = [];
  const schedules = await readSchedules(context, space, range, limits);
  const durations = await listEndedDurations(transaction, { space, among: DURATIONS_AMONG, each: DURATIONS_EACH });
  const targets = new ForecastTargets(context, space, asset);
  const open = await openOccupations(context, { space, fromMs, durations, targets, limits });
  const reading = new ForecastReading(context, {
    space,
    nowMs: fromMs,
    targets,
    durations,
    open,
    calendars: await ForecastCalendars.read(context, space),
    limits,
  });
  const { known, idle } = await comingRuns(reading, schedules, { ...range, open }, limits);
  // Others are in the way of those that touch the asset, though they are not shown.
  const isShown = ({ targets: own }: Coming): boolean => asset === null || (own !== null && own.assets.size > 0);
  return {
    space,
    from: new Date(range.fromMs).toISOString(),
    to: new Date(range.toMs).toISOString(),
    asset,
    runs: await runsOf(context, space, { coming: known, open, isShown }, limits),
    idle,
    limits: [...new Set(limits)],
  };
}

interface ReadSchedules {
  readonly all: readonly StoredSchedule[];
  /** Those with instants of their own, or fires that wait. */
  readonly coming: readonly ComingInstants[];
  /** Those that may be due after runs of others as well. */
  readonly followers: readonly StoredSchedule[];
  readonly idle: Forecast['idle'];
}

async function readSchedules(
  { transaction }: OperationContext,
  space: string,
  range: { readonly fromMs: number; readonly toMs: number },
  limits: string[],
): Promise<ReadSchedules> {
  const schedules = await listScheduleRows(transaction, { space, after: null, limit: MAX_SCHEDULES + 1 });
  if (schedules.length > MAX_SCHEDULES)
    limits.push(
      `there are more than ${MAX_SCHEDULES} schedules: those after ${schedules[MAX_SCHEDULES - 1]?.name ?? ''} are left out`,
    );
  const [coming, idle]: [ComingInstants[], Forecast['idle']] = [[], []];
  const followers: StoredSchedule[] = [];
  for (const schedule of schedules.slice(0, MAX_SCHEDULES)) {
    const waiting = await waitingInstants(transaction, schedule, range, limits);
    const found = comingInstants(schedule, range, limits);
    const comes = 'state' in found ? [] : found.instants;
    if (waiting.length + comes.length > 0) coming.push({ schedule, instants: [...waiting, ...comes] });
    const isBarred = 'state' in found && (found.state === 'paused' || found.state === 'quarantined');
    if (isFollower(schedule) && !isBarred) followers.push(schedule);
    else if ('state' in found && (waiting.length === 0 || found.state !== 'not-due')) idle.push(found);
    // Others are served by the same thread.
    await setImmediate();
  }
  return { all: schedules, coming: cutToMost(coming, limits), followers, idle };
}

/** What comes by time, then what follows it, the ones that are followed first. */
async function comingRuns(
  reading: ForecastReading,
  { all, coming, followers, idle }: ReadSchedules,
  range: { readonly fromMs: number; readonly toMs: number; readonly open: readonly OpenOccupation[] },
  limits: string[],
): Promise<{ readonly known: readonly Coming[]; readonly idle: Forecast['idle'] }> {
  const known = new Map<string, Coming>();
  for (const one of coming)
    if (!followers.includes(one.schedule)) known.set(one.schedule.name, await reading.comingOf(one));
  const idleToo = [...idle];
  let left = MAX_RUNS - coming.reduce((sum, { instants }) => sum + instants.length, 0);
  for (const schedule of inOrderOfFollowing(followers)) {
    const { after } = schedule.document.spec;
    if (after === undefined) continue;
    const followedId = all.find(({ name }) => name === after.schedule)?.id;
    const openEndsMs = range.open.flatMap((one) =>
      one.scheduleId === followedId && followedId !== undefined ? [one.endMs] : [],
    );
    const follows = followingInstants(schedule, { before: known.get(after.schedule), openEndsMs }, range, limits);
    if (follows.length > left) limits.push(`more than ${MAX_RUNS} runs are due: some that follow others are left out`);
    const own = coming.find((one) => one.schedule === schedule)?.instants ?? [];
    const waiting = own.filter(({ waits }) => waits !== null);
    const comes = [...own.filter(({ waits }) => waits === null), ...follows.slice(0, Math.max(0, left))];
    left -= follows.length;
    const instants = [...waiting, ...comes.sort((one, two) => Date.parse(one.at) - Date.parse(two.at))];
    if (instants.length > 0) known.set(schedule.name, await reading.comingOf({ schedule, instants }));
    else {
      const reason = `it is due ${afterText(after)}, and no run of that is expected to end in these days`;
      idleToo.push({ schedule: schedule.name, state: 'after', reason, instants: null });
    }
  }
  return { known: [...known.values()], idle: idleToo };
}

/** The first runs in time of all schedules, where there are too many. */
function cutToMost(coming: readonly ComingInstants[], limits: string[]): ComingInstants[] {
  const times = coming.flatMap(({ instants }) => instants.map(({ at }) => at)).sort();
  if (times.length <= MAX_RUNS) return [...coming];
  const last = times[MAX_RUNS - 1] ?? '';
  limits.push(`more than ${MAX_RUNS} runs are due: listed up to ${last}`);
  let left = MAX_RUNS;
  return coming
    .map(({ schedule, instants }) => {
      const kept = instants.filter(({ at }) => at <= last).slice(0, left);
      left -= kept.length;
      return { schedule, instants: kept };
    })
    .filter(({ instants }) => instants.length > 0);
}

interface Known {
  readonly coming: readonly Coming[];
  readonly open: readonly Occupation[];
  readonly isShown: (coming: Coming) => boolean;
}

async function runsOf(
  { transaction, scopeOf }: OperationContext,
  space: string,
  { coming, open, isShown }: Known,
  limits: string[],
): Promise<ForecastRun[]> {
  const seesAll = scopeOf('asset:read', space) === null;
  const rows = coming
    .flatMap((one) => one.instants.map((instant, index) => ({ one, instant, outcome: one.outcomes[index] })))
    .sort((left, right) => Date.parse(left.instant.at) - Date.parse(right.instant.at));
  const occupations: Occupation[] = [...open];
  const places = rows.map(({ one, instant, outcome }) => {
    const { startMs = null, endMs = null } = outcome ?? {};
    if (one.broken !== null || startMs === null || endMs === null) return -1;
    const { lock, wants } = one.demand;
    const other = { schedule: one.schedule.name, at: new Date(instant.at).toISOString() };
    return occupations.push({ other, startMs, endMs, lock, wants, assets: one.targets?.assets ?? new Map() }) - 1;
  });
  const keys = [...new Set(occupations.flatMap(({ wants }) => [...wants.keys()]))];
  const { findings, isCut } = findCollisions(
    occupations,
    await listCapacityLimits(transaction, space, keys),
    DEFAULT_LIMIT,
  );
  if (isCut)
    limits.push(`collisions: more than ${MAX_PAIRS} pairs of runs are at the same time; later ones were not compared`);
  return rows.flatMap(({ one, instant, outcome }, index) =>
    isShown(one) ? [runView(one, instant, outcome, { collisions: findings[places[index] ?? -1] ?? [], seesAll })] : [],
  );
}

function runView(
  coming: Coming,
  { at, local, note, waits, follows }: ComingInstants['instants'][number],
  expected: ForecastOutcome | undefined,
  { collisions, seesAll }: { readonly collisions: readonly ForecastFinding[]; readonly seesAll: boolean },
): ForecastRun {
  const { schedule, targets, duration, broken } = coming;
  const { spec } = schedule.document;
  const { mustStartBy, mustFinishBy } = spec;
  const must = {
    startMs: mustStartBy === undefined ? null : durationMs(mustStartBy),
    finishMs: mustFinishBy === undefined ? null : durationMs(mustFinishBy),
  };
  // Deadlines are of what comes by itself.
  const isOwn = waits === null || waits.source === 'nominal' || waits.source === 'after';
  const late = expected && isOwn ? deadlineFindings(Date.parse(at), expected, must, duration.basis !== 'none') : [];
  const findings = [...(expected?.findings ?? []), ...late, ...collisions];
  const starts = broken === null && expected !== undefined && expected.startMs !== null;
  if (broken !== null) findings.unshift(plain('broken', broken));
  if (targets !== null && targets.assets.size === 0)
    findings.push(
      plain(
        'no-targets',
        seesAll
          ? 'its selector matches no asset now: the run would be refused'
          : 'its selector matches no asset now that you may see',
      ),
    );
  const time = (ms: number | null | undefined): string | null =>
    !starts || ms === null || ms === undefined ? null : new Date(ms).toISOString();
  return {
    schedule: schedule.name,
    runbook: spec.runbook,
    at: new Date(at).toISOString(),
    local,
    timeZone: spec.timeZone,
    note,
    after: follows === null ? null : { schedule: follows.schedule, on: follows.on },
    outcome: broken === null ? (expected?.outcome ?? 'starts') : 'refused',
    startsAt: time(expected?.startMs),
    endsAt: time(expected?.endMs),
    duration,
    targets: targetsView(targets),
    findings,
  };
}
