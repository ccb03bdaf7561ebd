import { FettleError, isActionStep, walkSteps, type RunbookSpec } from '@fettle/contracts';
import { evaluateSelector, narrow, parseSelector, type AssetView } from '@fettle/expression';
import { validateInputs } from '../document/validate-inputs.js';
import type { EngineCommand } from '../engine/commands.js';
import { stepOutputs, type StepError } from '../engine/decide-step.js';
import type { JsonObject, JsonValue } from '../json.js';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { isOpen, type TargetRow } from './targets.js';

type Call = Extract<EngineCommand, { kind: 'call' }>;

/** Runs above a called one, as the server bounds them. */
const MAX_DEPTH = 8;

interface Caller {
  readonly depth: number;
  readonly targets: readonly TargetRow[];
  readonly world: {
    readonly runbooks: ReadonlyMap<string, RunbookSpec>;
    readonly estate: readonly AssetView[];
    readonly actions: ActionRegistry;
  };
}

export interface CalledRun {
  readonly runbook: string;
  readonly spec: RunbookSpec;
  readonly inputs: JsonObject;
  readonly assets: readonly AssetView[];
  readonly depth: number;
}

/** The run that a call starts, or why it starts none. */
export function calledSubject({ depth, targets, world }: Caller, command: Call): CalledRun | StepError {
  const { runbook } = command;
  const spec = world.runbooks.get(runbook);
  if (spec === undefined) {
    const message = `there is no runbook "${runbook}" among the files of the rehearsal`;
    return { code: 'not-found', message };
  }
  if (depth >= MAX_DEPTH) return { code: 'call-depth', message: `calls are nested more than ${MAX_DEPTH} deep` };
  const checked = validateInputs(spec, command.inputs);
  if (checked.inputs === null) {
    return { code: 'invalid-inputs', message: checked.findings[0]?.message ?? 'the inputs do not fit' };
  }
  // Those on which nothing failed.
  const isWell = (target: TargetRow): boolean => isOpen(target) || target.state === 'succeeded' || target.state === 'skipped';
  const still = new Set(targets.filter(isWell).map(({ name }) => name));
  const isOurs = ({ name }: AssetView): boolean => command.targets === 'own' || still.has(name ?? '');
  try {
    const assets = selectedAssets(spec, world.estate, command.on).filter(isOurs);
    if (spec.targets !== undefined && needsTargets(spec, world.actions) && assets.length === 0) {
      return { code: 'no-targets', message: `no asset matches the targets of "${runbook}"` };
    }
    return { runbook, spec, inputs: checked.inputs, assets, depth: depth + 1 };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** Whether a step of it is about targets, its own or those of a run that it calls. */
export function needsTargets({ steps, handlers = {} }: RunbookSpec, actions: ActionRegistry): boolean {
  return [steps, ...Object.values(handlers)].some((list) =>
    [...walkSteps(list)].some((step) =>
      isActionStep(step) ? actions[step.uses]?.scope === 'target' : 'call' in step && step.call.targets === 'inherit',
    ),
  );
}

/** Assets that a runbook's selector chooses. Throws FettleError `invalid-expression`. */
export function selectedAssets(
  spec: Pick<RunbookSpec, 'targets'>,
  estate: readonly AssetView[],
  on: string | null = null,
): readonly AssetView[] {
  if (spec.targets === undefined) return [];
  const own = parseSelector(spec.targets);
  const selector = on === null ? own : narrow(own, parseSelector(on));
  return estate.filter((asset) => asset.lifecycle !== 'retired' && evaluateSelector(selector, asset) === true);
}

export interface CalledEnd {
  readonly state: 'succeeded' | 'failed' | 'cancelled';
  readonly output?: JsonValue;
  readonly error?: StepError;
}

type Finish = Extract<EngineCommand, { kind: 'finish' }>;

/** What the caller learns of the end of a run that it called. */
export function calledEnd(command: Call, finish: Finish | null, isCancelling: boolean): CalledEnd {
  const state = finish?.state ?? 'failed';
  if (state === 'cancelled' && isCancelling) return { state };
  if (finish === null || state !== 'succeeded') {
    const word = state === 'timed-out' ? 'timed out' : state === 'cancelled' ? 'was cancelled' : state;
    const why = finish?.error === undefined ? '' : `: ${finish.error.message}`;
    return {
      state: 'failed',
      error: { code: `sub-run-${state}`, message: `the run of "${command.runbook}" ${word}${why}` },
    };
  }
  try {
    return { state: 'succeeded', output: stepOutputs(command.outputs, { result: finish.outputs ?? {} }) };
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    return { state: 'failed', error: { code: error.code, message: error.message } };
  }
}
