import { FettleError, runbookDocumentSchema, type ForecastRun, type RunbookSpec } from '@fettle/contracts';
import { findDocument, findPrincipalById, type EndedDuration } from '@fettle/database';
import type { OperationContext } from './context.js';
import { demandOf, type Demand } from './forecast-demand.js';
import type { ForecastCalendars } from './forecast-gate.js';
import type { OpenOccupation } from './forecast-open-runs.js';
import { expectedDuration, expectedOutcomes, withAssetGates, type ForecastOutcome } from './forecast-outcomes.js';
import type { ComingInstants } from './forecast-schedules.js';
import { MAX_ASSETS_EACH, type ForecastTargets, type SelectedAssets } from './forecast-targets.js';

/** Ended runs of the space among which durations are looked for. */
export const DURATIONS_AMONG = 20_000;
/** How many of each schedule and of each runbook. */
export const DURATIONS_EACH = 100;

/** A schedule with all that is known of its coming runs. */
export interface Coming extends ComingInstants {
  /** Null: they act on no assets. */
  readonly targets: SelectedAssets | null;
  readonly demand: Demand;
  /** One for each instant. */
  readonly outcomes: readonly ForecastOutcome[];
  readonly duration: ForecastRun['duration'];
  /** Why a start would be refused; null: nothing is known against it. */
  readonly broken: string | null;
}

interface ReadingInput {
  readonly space: string;
  readonly nowMs: number;
  readonly targets: ForecastTargets;
  readonly durations: readonly EndedDuration[];
  readonly open: readonly OpenOccupation[];
  readonly calendars: ForecastCalendars;
  readonly limits: string[];
}

const nothing = { targets: null, demand: { lock: null, wants: new Map<string, number>(), unknownKeys: [] } };

/** Reads what one forecast needs of each schedule; runbooks and owners once. */
export class ForecastReading {
  readonly #specs = new Map<string, RunbookSpec | string>();
  readonly #owners = new Map<string, boolean>();

  constructor(
    private readonly context: OperationContext,
    private readonly input: ReadingInput,
  ) {}

  async comingOf(one: ComingInstants): Promise<Coming> {
    const { schedule, instants } = one;
    const { limits, open, calendars, targets } = this.input;
    const { spec } = schedule.document;
    const duration = this.#durationOf(schedule.id, spec.runbook);
    const runbook = await this.#specOf(spec.runbook);
    const opens = open.filter(({ scheduleId }) => scheduleId === schedule.id).map(({ endMs }) => endMs);
    const outcomes = expectedOutcomes(
      instants.filter(({ waits }) => waits === null).map(({ at }) => Date.parse(at)),
      {
        overlap: spec.overlap,
        missed: spec.missed,
        waiting: instants.flatMap(({ waits }) => (waits === null ? [] : [waits])),
        nowMs: this.input.nowMs,
        ...(await calendars.gateOf(schedule)),
        duration,
        openUntilMs: opens.length === 0 ? null : Math.max(...opens),
      },
    );
    const base = { ...one, ...nothing, outcomes, duration };
    if (typeof runbook === 'string') return { ...base, broken: runbook };
    const broken = (await this.#ownerStands(schedule.createdBy)) ? null : 'the owner of the schedule has been revoked';
    const demand = demandOf(runbook, spec.inputs);
    for (const key of demand.unknownKeys)
      limits.push(`the capacity "${key}" of the runbook ${spec.runbook} is known only to its runs: not compared`);
    try {
      const selected = await targets.of(runbook, spec.runbook, spec.targets);
      if (selected?.more === true)
        limits.push(`${schedule.name} selects more than ${MAX_ASSETS_EACH} assets: the first by name were looked at`);
      const gates = await calendars.gatesOf(runbook, selected?.assets ?? new Map());
      return { ...base, outcomes: withAssetGates(outcomes, gates), targets: selected, demand, broken };
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      return { ...base, broken: error.message };
    }
  }

  #durationOf(scheduleId: string, runbook: string): ForecastRun['duration'] {
    const all = this.input.durations.filter((one) => one.runbook === runbook);
    const ms = (rows: readonly EndedDuration[]): number[] =>
      rows.slice(0, DURATIONS_EACH).map(({ durationMs }) => durationMs);
    return expectedDuration(ms(all.filter((one) => one.scheduleId === scheduleId)), ms(all));
  }

  /** A text says why it cannot be started. */
  async #specOf(runbook: string): Promise<RunbookSpec | string> {
    const known = this.#specs.get(runbook);
    if (known !== undefined) return known;
    const { space } = this.input;
    const stored = await findDocument(this.context.transaction, { space, kind: 'Runbook', name: runbook });
    const parsed = runbookDocumentSchema.safeParse(stored?.parsed);
    const found =
      stored === null
        ? `there is no runbook ${runbook}`
        : parsed.success
          ? parsed.data.spec
          : `the stored runbook ${runbook} does not fit this version of Fettle`;
    this.#specs.set(runbook, found);
    return found;
  }

  async #ownerStands(principalId: string): Promise<boolean> {
    const known = this.#owners.get(principalId);
    if (known !== undefined) return known;
    const owner = await findPrincipalById(this.context.transaction, principalId);
    const stands = owner !== null && owner.revokedAt === null;
    this.#owners.set(principalId, stands);
    return stands;
  }
}
