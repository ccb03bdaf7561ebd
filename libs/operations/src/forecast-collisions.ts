import type { ForecastFinding, ForecastOther } from '@fettle/contracts';

/** What somebody takes up for a while, as it is forecast. */
export interface Occupation {
  readonly other: ForecastOther;
  readonly startMs: number;
  /** Exclusive. */
  readonly endMs: number;
  /** How it changes assets; null: it only looks, and takes no lock. */
  readonly lock: 'exclusive' | 'shared' | null;
  /** Id -> name. The same map for the same set of assets: what two sets share is computed once. */
  readonly assets: ReadonlyMap<string, string>;
  /** Key -> units. */
  readonly wants: ReadonlyMap<string, number>;
}

export interface Collisions {
  /** By the position of the occupation that comes second: the one that would wait. */
  readonly findings: readonly (readonly ForecastFinding[])[];
  /** Some pairs were not compared. */
  readonly isCut: boolean;
}

/** Pairs of occupations that are compared. */
export const MAX_PAIRS = 500_000;
const MAX_FINDINGS_EACH = 20;
const MAX_NAMES = 5;

/** Who is in whose way: pairs that overlap in time and change the same assets, and keys that have not enough units at a start. */
export function findCollisions(
  occupations: readonly Occupation[],
  limits: ReadonlyMap<string, number>,
  defaultLimit: number,
  maxPairs = MAX_PAIRS,
): Collisions {
  const findings: ForecastFinding[][] = occupations.map(() => []);
  const order = occupations
    .map((occupation, index) => ({ occupation, index }))
    .sort((left, right) => left.occupation.startMs - right.occupation.startMs || left.index - right.index);
  const shared = new SharedAssets();
  let active: Occupation[] = [];
  let pairs = 0;
  for (const { occupation, index } of order) {
    active = active.filter(({ endMs }) => endMs > occupation.startMs);
    pairs += active.length;
    if (pairs > maxPairs) return { findings, isCut: true };
    const own = findings[index] ?? [];
    for (const other of active) {
      const finding = assetFinding(occupation, other, shared);
      if (finding !== null && own.length < MAX_FINDINGS_EACH) own.push(finding);
    }
    own.push(...capacityFindings(occupation, active, limits, defaultLimit));
    active.push(occupation);
  }
  return { findings, isCut: false };
}

function assetFinding(own: Occupation, other: Occupation, shared: SharedAssets): ForecastFinding | null {
  if (own.lock === null || other.lock === null) return null;
  if (own.lock === 'shared' && other.lock === 'shared') return null;
  const both = shared.of(own.assets, other.assets);
  if (both.count === 0) return null;
  const more = both.count > both.names.length ? ', ...' : '';
  return {
    kind: 'asset',
    message: `${otherText(other.other)} changes ${both.count === 1 ? 'the same asset' : `${both.count} of the same assets`} then (${both.names.join(', ')}${more}); the second waits for each`,
    with: other.other,
    assets: { count: both.count, names: [...both.names] },
    key: null,
    calendar: null,
  };
}

function capacityFindings(
  own: Occupation,
  active: readonly Occupation[],
  limits: ReadonlyMap<string, number>,
  defaultLimit: number,
): ForecastFinding[] {
  const found: ForecastFinding[] = [];
  for (const [key, units] of own.wants) {
    const limit = limits.get(key) ?? defaultLimit;
    const others = active.filter(({ wants }) => wants.has(key));
    const used = others.reduce((sum, { wants }) => sum + (wants.get(key) ?? 0), 0);
    if (used + units <= limit) continue;
    const names = others.slice(0, 3).map(({ other }) => otherText(other));
    const more = others.length > names.length ? ` and ${others.length - names.length} more` : '';
    const message =
      units > limit
        ? `it wants ${units} of ${key}, of which there are ${limit}: it would wait for ever`
        : `${key}: ${used} of ${limit} may be held then by ${names.join(', ')}${more}; it wants ${units}`;
    found.push({ kind: 'capacity', message, with: others[0]?.other ?? null, assets: null, key, calendar: null });
  }
  return found;
}

export function otherText(other: ForecastOther): string {
  return 'schedule' in other
    ? `${other.schedule} of ${other.at.slice(0, 16).replace('T', ' ')} UTC`
    : `the open run ${other.runId} (${other.runbook})`;
}

interface Shared {
  readonly count: number;
  readonly names: readonly string[];
}

/** What two sets of assets have in common, remembered by the pair. */
class SharedAssets {
  readonly #known = new Map<ReadonlyMap<string, string>, Map<ReadonlyMap<string, string>, Shared>>();

  of(one: ReadonlyMap<string, string>, two: ReadonlyMap<string, string>): Shared {
    const known = this.#known.get(one) ?? new Map<ReadonlyMap<string, string>, Shared>();
    this.#known.set(one, known);
    const found = known.get(two) ?? shareOf(one, two);
    known.set(two, found);
    return found;
  }
}

function shareOf(one: ReadonlyMap<string, string>, two: ReadonlyMap<string, string>): Shared {
  const [small, large] = one.size <= two.size ? [one, two] : [two, one];
  const names: string[] = [];
  let count = 0;
  for (const [id, name] of small) {
    if (!large.has(id)) continue;
    count += 1;
    if (names.length < MAX_NAMES) names.push(name);
  }
  return { count, names };
}
