import { FettleError } from '@fettle/contracts';
import { STATE_FORMAT, type EngineState } from './state.js';

/** What an earlier format lacks, by its number: the state in the next one. A change that cannot be made good here has no entry. */
const upgrades: Readonly<Record<number, (state: object) => object>> = {
  // It registered no calls, and undoes none: what its calls did before the upgrade stays, as it did then.
  1: (state) => state,
  // A segment that is being cancelled goes through no `finally` where its program says nothing of it.
  2: (state) => state,
};

/**
 * The state that an earlier execution of a run's workflow left, maybe by an earlier release.
 * @throws FettleError `unavailable` for a format that this release does not know, or cannot go on with: an older worker must not go on
 *   with what a newer one left
 */
export function readState(stored: unknown): EngineState {
  let state = stored as object & { readonly format?: unknown };
  // The first one had no number.
  let format = state.format === undefined ? 1 : Number(state.format);
  while (format !== STATE_FORMAT) {
    const upgrade = Object.hasOwn(upgrades, format) ? upgrades[format] : undefined;
    if (upgrade === undefined || format > STATE_FORMAT) throw unknownFormat(state.format);
    format += 1;
    state = { ...upgrade(state), format };
  }
  return state as EngineState;
}

function unknownFormat(format: unknown): FettleError {
  return new FettleError({
    code: 'unavailable',
    message: `the state that this run goes on with has format ${String(format)}, this worker knows formats 1 to ${STATE_FORMAT}`,
    remedy: 'Let a worker of the release that left it, or of a later one, go on with the run.',
  });
}
