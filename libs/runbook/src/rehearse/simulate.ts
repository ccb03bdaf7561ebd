import { FettleError, type RunbookSpec, type TargetState } from '@fettle/contracts';
import type { AssetView } from '@fettle/expression';
import { advance } from '../engine/advance.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import type { JsonObject } from '../json.js';
import { SimulatedClock } from './clock.js';
import type { RehearsedEntry } from './journal.js';
import { randomFrom } from './random.js';
import type { Script } from './script.js';
import { selectedAssets } from './simulated-call.js';
import { SimulatedRun, type Finish, type World } from './simulated-run.js';

export interface SimulateRequest {
  readonly runbook: string;
  readonly spec: RunbookSpec;
  /** With defaults: checked against the runbook's schema. */
  readonly inputs: JsonObject;
  readonly estate: readonly AssetView[];
  readonly actions: ActionRegistry;
  /** That may be called. */
  readonly runbooks?: ReadonlyMap<string, RunbookSpec> | undefined;
  readonly script: Script;
  readonly seed: number;
  readonly startAtMs: number;
  /** Another engine: a test of the tests. */
  readonly advance?: typeof advance | undefined;
}

/** What a simulated run came to. */
export interface Simulation {
  /** Null: the run did not come to its end, because something is waited for that never comes. */
  readonly finish: Finish | null;
  readonly entries: readonly RehearsedEntry[];
  /** End state of each target of the run. */
  readonly targets: Readonly<Record<string, TargetState>>;
  readonly durationMs: number;
  /** The run and those that it called, by the numbers that entries have. */
  readonly runs: readonly SimulatedEnd[];
}

export interface SimulatedEnd {
  readonly number: number;
  readonly runbook: string;
  readonly finish: Finish | null;
  readonly targets: Readonly<Record<string, TargetState>>;
}

/** Executes a runbook by its engine in a world that is made up: the same request gives the same entries. Throws FettleError. */
export function simulate(request: SimulateRequest): Simulation {
  const { runbook, spec, inputs, estate, actions, script, startAtMs } = request;
  const clock = new SimulatedClock(startAtMs);
  const entries: RehearsedEntry[] = [];
  const runs: SimulatedRun[] = [];
  const world: World = {
    clock,
    script,
    actions,
    runbooks: request.runbooks ?? new Map<string, RunbookSpec>(),
    estate,
    random: randomFrom(request.seed),
    advance: request.advance ?? advance,
    append: (run, { kind, target = null, step = null, data = {} }) => {
      const at = { seq: entries.length + 1, atMs: clock.nowMs - startAtMs, run: run.number, runbook: run.runbook };
      entries.push({ ...at, kind, target, step, data });
    },
    register: (run) => runs.push(run),
  };
  const assets = selectedAssets(spec, estate);
  const run = new SimulatedRun(world, { runbook, spec, inputs, assets, depth: 0 }, () => undefined);
  run.start();
  for (const { name, payload, afterMs } of script.signals) clock.after(afterMs, () => run.signal(name, payload));
  clock.run(() => run.finish !== null);
  if (run.finish === null) throw hangs(entries);
  const ends = runs.map((one): SimulatedEnd => {
    const targets = Object.fromEntries(one.targets.map(({ name, state }) => [name, state]));
    return { number: one.number, runbook: one.runbook, finish: one.finish, targets };
  });
  const { targets } = ends[0]!;
  return { finish: run.finish, entries, targets, durationMs: clock.nowMs - startAtMs, runs: ends };
}

function hangs(entries: readonly RehearsedEntry[]): FettleError {
  const last = entries.at(-1);
  const message = `the run waits for something that never comes; its last entry is ${last?.kind ?? 'none'} ${last?.step ?? ''}`;
  return new FettleError({ code: 'internal', message: message.trim() });
}
