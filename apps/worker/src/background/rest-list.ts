/** What fails is left alone for twice as long each time, from ten seconds up to this. */
const MAX_REST_MS = 5 * 60_000;
/** What has not come up again for so long after its rest is forgotten: it is settled by somebody else, or is no more. */
const FORGET_AFTER_MS = 10 * 60_000;

/** Things that failed lately, by id, so that they do not keep their place in every batch. */
export class RestList {
  readonly #failed = new Map<string, { readonly count: number; readonly untilMs: number }>();

  get size(): number {
    return this.#failed.size;
  }

  /** Ids that are to be left alone now. */
  resting(nowMs: number): string[] {
    for (const [id, { untilMs }] of this.#failed) {
      if (untilMs + FORGET_AFTER_MS <= nowMs) this.#failed.delete(id);
    }
    return [...this.#failed].filter(([, { untilMs }]) => untilMs > nowMs).map(([id]) => id);
  }

  /** @returns how often it has failed in a row. */
  fail(id: string, nowMs: number): number {
    const count = (this.#failed.get(id)?.count ?? 0) + 1;
    this.#failed.set(id, { count, untilMs: nowMs + Math.min(MAX_REST_MS, 5_000 * 2 ** Math.min(count, 10)) });
    return count;
  }

  succeed(id: string): void {
    this.#failed.delete(id);
  }
}
