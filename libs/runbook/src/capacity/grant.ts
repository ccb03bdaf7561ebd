/** So many units of a named thing, e.g. 2 of `site:ber`. */
export interface Want {
  readonly key: string;
  readonly units: number;
}

/** What a step (or a whole run) has asked for, and whether it holds it. */
export interface CapacityRequest {
  readonly id: string;
  /** Each key once. */
  readonly wants: readonly Want[];
  /** The higher comes first. */
  readonly priority: number;
  /** Number of its arrival: the lower comes first among equals. */
  readonly arrival: number;
  readonly isGranted: boolean;
}

/** A key that no document gives a limit has this one: one at a time. */
export const DEFAULT_LIMIT = 1;

/** Limits by key; a key that is absent has `DEFAULT_LIMIT`. */
export type Limits = ReadonlyMap<string, number>;

export function limitOf(limits: Limits, key: string): number {
  return limits.get(key) ?? DEFAULT_LIMIT;
}

/** Asks for more of a key than there will ever be: it waits without holding anybody up. */
export function isImpossible(request: Pick<CapacityRequest, 'wants'>, limits: Limits): boolean {
  return request.wants.some(({ key, units }) => units > limitOf(limits, key));
}

/** Those who wait, in the order of the queue. */
export function queueOrder(requests: readonly CapacityRequest[]): CapacityRequest[] {
  return requests
    .filter((request) => !request.isGranted)
    .sort((left, right) => right.priority - left.priority || left.arrival - right.arrival);
}

/**
 * Which of those who wait get what they asked for now, in the order of the queue; the rest gets nothing.
 *
 * A request is granted where, on each of its keys, what is held, what all those before it in the queue want, and its own come to at
 * most the limit. So nobody gets a part, whoever is before in the queue is never delayed by one after, in whatever order the
 * holders give back, and one that is after is let past only where it is in nobody's way.
 */
export function decideGrants(requests: readonly CapacityRequest[], limits: Limits): string[] {
  const claimed = new Map<string, number>();
  const claim = ({ wants }: CapacityRequest): void => {
    for (const { key, units } of wants) claimed.set(key, (claimed.get(key) ?? 0) + units);
  };
  for (const request of requests) if (request.isGranted) claim(request);
  const granted: string[] = [];
  for (const request of queueOrder(requests)) {
    if (isImpossible(request, limits)) continue;
    claim(request);
    if (request.wants.every(({ key }) => (claimed.get(key) ?? 0) <= limitOf(limits, key))) granted.push(request.id);
  }
  return granted;
}

/** Place in the queue, from 1: those before it who want one of the same things count. Null: it does not wait. */
export function queuePosition(requests: readonly CapacityRequest[], id: string): number | null {
  const queue = queueOrder(requests);
  const own = queue.findIndex((request) => request.id === id);
  if (own < 0) return null;
  const keys = new Set(queue[own]!.wants.map((want) => want.key));
  return 1 + queue.slice(0, own).filter(({ wants }) => wants.some((want) => keys.has(want.key))).length;
}

/** Each key once with the sum of its units, sorted: the one order in which everybody takes. */
export function mergeWants(wants: readonly Want[]): Want[] {
  const units = new Map<string, number>();
  for (const want of wants) units.set(want.key, (units.get(want.key) ?? 0) + want.units);
  return [...units].map(([key, sum]) => ({ key, units: sum })).sort((left, right) => (left.key < right.key ? -1 : 1));
}
