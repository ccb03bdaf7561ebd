import type { RunbookSpec } from '@fettle/contracts';
import type { AssetView } from '@fettle/expression';
import { compareTargets, compileOrder, orderKey } from '../rollout/order-targets.js';
import { waveEnds } from '../rollout/wave-arithmetic.js';
import { shuffled } from './random.js';
import type { TargetRow } from './targets.js';

/** The targets of a new run with their waves: in the order of the rollout, else by name in waves and any order within them. */
export function orderedRows(
  assets: readonly AssetView[],
  { rollout }: Pick<RunbookSpec, 'rollout'>,
  random: () => number,
): readonly TargetRow[] {
  const order = rollout.orderBy === undefined ? null : compileOrder(rollout.orderBy);
  const placed = assets
    .map((asset) => ({ asset, name: asset.name ?? '', key: order === null ? null : orderKey(order, asset) }))
    .sort(compareTargets);
  const ends = rollout.waves === undefined ? [placed.length] : waveEnds(rollout.waves, placed.length);
  const waveOf = (place: number): number => 1 + ends.findIndex((end) => place < end);
  const rows = placed.map(({ asset, name }, place) => newRow(asset, name, waveOf(place)));
  const dispatched = order === null ? shuffled(rows, random) : rows;
  return dispatched.map((row, place) => ({ ...row, place }));
}

function newRow(asset: AssetView, name: string, wave: number): TargetRow {
  return {
    name,
    asset,
    place: 0,
    wave,
    state: 'pending',
    stepIndex: 0,
    generation: 1,
    dueAtMs: 0,
    isClaimed: false,
    failing: 0,
    hasExecuted: false,
    error: null,
    outputs: {},
    begun: new Map(),
    undone: new Set(),
    isRollbackIncomplete: false,
  };
}
