import type { AssetLockWait, CapacityShortage, Entry, RunCapacity, RunDetail } from '@fettle/contracts';

/** What a run waits for, to whoever follows it; null: the entry is about something else. */
export function capacityNote({ kind, step, asset, data }: Entry): string | null {
  const who = step === null ? 'The run' : `Step ${step}`;
  if (kind === 'capacity-queued') {
    const { position, waitsFor } = data as unknown as Pick<RunCapacity, 'position' | 'waitsFor'>;
    return `${who} waits, place ${position ?? 1}: ${waitsFor.map(shortageText).join('; ')}.`;
  }
  if (kind === 'capacity-granted' && Number(data.waitedMs) > 0) return `${who} has its capacity and goes on.`;
  if (kind === 'capacity-kept') {
    return `${who} keeps its capacity until ${String(data.until)}: a step may still be at work. Once you have looked: fettle capacity free.`;
  }
  if (kind !== 'target-waits') return null;
  const { heldBy } = data as { readonly heldBy: AssetLockWait['heldBy'] };
  return heldBy === null
    ? `${asset} waits.`
    : `${asset} waits for run ${heldBy.runId} (${heldBy.runbook}), which changes it.`;
}

/** `site:ber (2 of 2 used by 0193... (patch), 1 wanted)`. */
export function shortageText({ key, limit, used, units, holders }: CapacityShortage): string {
  const by = holders.slice(0, 3).map(({ runId, runbook }) => `${runId} (${runbook})`);
  const rest = holders.length > by.length ? ` and ${holders.length - by.length} more` : '';
  return `${key} (${used} of ${limit} used${by.length === 0 ? '' : ` by ${by.join(', ')}${rest}`}, ${units} wanted)`;
}

/** One line for each thing that a run holds or waits for. */
export function capacityFields({ capacity }: RunDetail): [string, string][] {
  return (capacity ?? []).map(({ path, state, wants, position, waitsFor, since }) => {
    const name = path === '' ? 'capacity' : `capacity of ${path}`;
    const keys = wants.map(({ key, units }) => (units === 1 ? key : `${units} of ${key}`)).join(', ');
    if (state === 'held') return [name, `holds ${keys === '' ? 'what the run around it holds' : keys}`];
    return [name, `waits since ${since}, place ${position ?? 1}: ${waitsFor.map(shortageText).join('; ')}`];
  });
}

export function assetWaitText({ asset, since, heldBy }: AssetLockWait): string {
  if (heldBy === null) return `waits for asset ${asset} since ${since}; it has just become free`;
  return `waits for asset ${asset} since ${since}: run ${heldBy.runId} (${heldBy.runbook}) changes it, since ${heldBy.since}`;
}
