import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  decideGrants,
  isImpossible,
  limitOf,
  mergeWants,
  queueOrder,
  queuePosition,
  type CapacityRequest,
} from './grant.js';

const seed = Number(process.env['FETTLE_SEED'] ?? Date.now() % 2 ** 31);
process.stdout.write(`grant.property.test.ts: FETTLE_SEED=${seed}\n`);
const numRuns = process.env['FETTLE_LONG'] === '1' ? 10_000 : 1_000;

const KEYS = ['db:a', 'host:b', 'site:c', 'site:d'] as const;
const limitsArbitrary = fc
  .array(fc.integer({ min: 1, max: 6 }), { minLength: 3, maxLength: 3 })
  // The last key has no document.
  .map((limits) => new Map<string, number>(limits.map((limit, index) => [KEYS[index]!, limit])));
const wantsArbitrary = fc
  .uniqueArray(fc.record({ key: fc.constantFrom(...KEYS), units: fc.integer({ min: 1, max: 4 }) }), {
    selector: (want) => want.key,
    minLength: 1,
    maxLength: 4,
  })
  .map(mergeWants);
const queueArbitrary = fc.array(fc.record({ wants: wantsArbitrary, priority: fc.integer({ min: -1, max: 2 }) }), {
  minLength: 1,
  maxLength: 14,
});

type Limits = ReadonlyMap<string, number>;

function asked(queue: readonly Pick<CapacityRequest, 'wants' | 'priority'>[]): CapacityRequest[] {
  return queue.map((request, arrival) => ({ ...request, arrival, id: `r${arrival}`, isGranted: false }));
}

/** Tokens in boxes, one a unit: who is asked in turn either finds all of his or lays a hand on those that he waits for. */
function naiveGrants(requests: readonly CapacityRequest[], limits: Limits): string[] {
  const boxes = new Map(KEYS.map((key) => [key as string, Array.from({ length: limits.get(key) ?? 1 }, () => 'free')]));
  const draw = (key: string, by: string): boolean => {
    const box = boxes.get(key)!;
    const index = box.indexOf('free');
    if (index >= 0) box[index] = by;
    else box.push(`owed to ${by}`);
    return index >= 0;
  };
  for (const { id, wants, isGranted } of requests) {
    if (isGranted) for (const { key, units } of wants) for (let unit = 0; unit < units; unit += 1) draw(key, id);
  }
  const waiting = requests.filter((request) => !request.isGranted);
  const granted: string[] = [];
  while (waiting.length > 0) {
    const first = waiting.reduce((best, one) => {
      if (one.priority !== best.priority) return one.priority > best.priority ? one : best;
      return one.arrival < best.arrival ? one : best;
    });
    waiting.splice(waiting.indexOf(first), 1);
    if (first.wants.some(({ key, units }) => units > (limits.get(key) ?? 1))) continue;
    const found = first.wants.flatMap(({ key, units }) => Array.from({ length: units }, () => draw(key, first.id)));
    if (!found.includes(false)) granted.push(first.id);
  }
  return granted;
}

function withGrants(requests: readonly CapacityRequest[], ids: readonly string[]): CapacityRequest[] {
  return requests.map((request) => (ids.includes(request.id) ? { ...request, isGranted: true } : request));
}

function held(requests: readonly CapacityRequest[], key: string): number {
  return requests
    .filter((request) => request.isGranted)
    .flatMap((request) => request.wants)
    .reduce((sum, want) => sum + (want.key === key ? want.units : 0), 0);
}

/** Grants, and gives back in the order drawn until nobody holds anything; when each was granted, counted in what was given back. */
function playOut(
  start: readonly CapacityRequest[],
  limits: Limits,
  releaseOrder: readonly string[],
  after: (requests: readonly CapacityRequest[]) => void = () => undefined,
): Map<string, number> {
  const grantedAt = new Map<string, number>();
  let requests = [...start];
  let moment = 0;
  const grant = (): void => {
    const ids = decideGrants(requests, limits);
    for (const id of ids) grantedAt.set(id, moment);
    requests = withGrants(requests, ids);
    after(requests);
  };
  grant();
  for (let round = 0; round <= start.length; round += 1) {
    for (const id of releaseOrder) {
      moment += 1;
      if (!requests.some((request) => request.id === id && request.isGranted)) continue;
      requests = requests.filter((request) => request.id !== id);
      grant();
    }
  }
  return grantedAt;
}

describe('arithmetic of capacity', () => {
  it('grants what a model with one token a unit grants', () => {
    let blocked = 0;
    let letPast = 0;
    fc.assert(
      fc.property(queueArbitrary, limitsArbitrary, fc.nat({ max: 14 }), (queue, limits, count) => {
        const before = asked(queue);
        // Some hold already, by an earlier decision.
        const requests = withGrants(before, decideGrants(before.slice(0, count), limits));
        const granted = decideGrants(requests, limits);
        expect(granted).toEqual(naiveGrants(requests, limits));
        const order = queueOrder(requests).map((request) => request.id);
        const refused = order.findIndex((id) => !granted.includes(id));
        if (refused >= 0) blocked += 1;
        if (refused >= 0 && order.slice(refused).some((id) => granted.includes(id))) letPast += 1;
      }),
      { seed, numRuns },
    );
    expect(blocked).toBeGreaterThan(numRuns / 4);
    expect(letPast).toBeGreaterThan(numRuns / 20);
  });

  it('never exceeds a limit, and everybody who can be served is, in whatever order things are given back', () => {
    fc.assert(
      fc.property(queueArbitrary, limitsArbitrary, fc.gen(), (queue, limits, gen) => {
        const requests = asked(queue);
        const ids = requests.map((request) => request.id);
        const order = gen(fc.shuffledSubarray, ids, { minLength: ids.length });
        const grantedAt = playOut(requests, limits, order, (now) => {
          for (const key of KEYS) expect(held(now, key)).toBeLessThanOrEqual(limitOf(limits, key));
        });
        const served = requests.filter((request) => !isImpossible(request, limits)).map((request) => request.id);
        expect([...grantedAt.keys()].sort()).toEqual(served.sort());
      }),
      { seed, numRuns },
    );
  });

  it('nobody is delayed by those after him in the queue', () => {
    fc.assert(
      fc.property(queueArbitrary, limitsArbitrary, fc.gen(), (queue, limits, gen) => {
        const requests = asked(queue);
        const ids = requests.map((request) => request.id);
        const order = gen(fc.shuffledSubarray, ids, { minLength: ids.length });
        const whole = playOut(requests, limits, order);
        const first = queueOrder(requests).slice(0, gen(fc.integer, { min: 1, max: requests.length }));
        const alone = playOut(first, limits, order);
        for (const { id } of first) expect(whole.get(id)).toBe(alone.get(id));
      }),
      { seed, numRuns },
    );
  });

  it('counts places among those who want the same', () => {
    const requests = asked([
      { wants: [{ key: 'db:a', units: 1 }], priority: 0 },
      { wants: [{ key: 'host:b', units: 1 }], priority: 0 },
      { wants: [{ key: 'db:a', units: 1 }], priority: 1 },
      {
        wants: mergeWants([
          { key: 'db:a', units: 1 },
          { key: 'site:c', units: 2 },
          { key: 'db:a', units: 2 },
        ]),
        priority: 0,
      },
    ]);
    expect(requests[3]!.wants).toEqual([
      { key: 'db:a', units: 3 },
      { key: 'site:c', units: 2 },
    ]);
    expect(['r0', 'r1', 'r2', 'r3'].map((id) => queuePosition(requests, id))).toEqual([2, 1, 1, 3]);
    expect(queuePosition(withGrants(requests, ['r2']), 'r2')).toBeNull();
    expect(queuePosition(withGrants(requests, ['r2']), 'r0')).toBe(1);
  });
});
