import { targetStates, type Entry, type TargetState } from '@fettle/contracts';

/** A target that ended otherwise than hoped. */
export interface BadEnd {
  readonly asset: string;
  readonly state: TargetState;
  readonly step: string | null;
  readonly message: string | null;
}

const badStates: ReadonlySet<string> = new Set<TargetState>(['failed', 'unreachable', 'quarantined', 'unknown']);

/** What is known of a run from its entries so far: targets by state, without asking the API for all of them. */
export class RunProgress {
  readonly counts: Record<TargetState, number>;
  /** Each target that has begun and has not ended. */
  readonly #running = new Set<string>();
  /** The last error of each target that has not ended. */
  readonly #errors = new Map<string, { readonly step: string | null; readonly message: string | null }>();

  constructor(readonly targetCount: number) {
    this.counts = Object.fromEntries(targetStates.map((state) => [state, 0])) as Record<TargetState, number>;
    this.counts.pending = targetCount;
  }

  get ended(): number {
    return this.targetCount - this.counts.pending - this.counts.running;
  }

  /** @returns the target's bad end, where this entry tells of one */
  take(entry: Entry): BadEnd | null {
    const { asset } = entry;
    if (entry.kind === 'run-queued') this.#seed(entry.data['counts']);
    if (asset === null) return null;
    if (entry.kind === 'step-started') this.#begin(asset);
    if (entry.kind === 'step-ended') this.#remember(asset, entry);
    return entry.kind === 'target-ended' ? this.#end(asset, entry) : null;
  }

  /** A resumed run has targets that had come through before it began. */
  #seed(counts: unknown): void {
    if (typeof counts !== 'object' || counts === null) return;
    for (const state of targetStates) {
      const count: unknown = Reflect.get(counts, state);
      if (typeof count === 'number') this.counts[state] = count;
    }
  }

  #begin(asset: string): void {
    if (this.#running.has(asset)) return;
    this.#running.add(asset);
    this.counts.pending -= 1;
    this.counts.running += 1;
  }

  #remember(asset: string, { step, data }: Entry): void {
    const { error } = data;
    const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : null;
    if (typeof message === 'string') this.#errors.set(asset, { step, message });
    else this.#errors.delete(asset);
  }

  #end(asset: string, { data }: Entry): BadEnd | null {
    const state = targetStates.find((known) => known === data.state);
    const last = this.#errors.get(asset) ?? { step: null, message: null };
    this.#errors.delete(asset);
    this.counts[this.#running.delete(asset) ? 'running' : 'pending'] -= 1;
    if (state === undefined) return null;
    this.counts[state] += 1;
    return badStates.has(state) ? { asset, state, ...last } : null;
  }
}
