/**
 * Does one thing after the other. Local activities of a run take turns by it: where several are under way, Temporal gives their results
 * to the workflow as they come, but all at once when it replays, and branches beside each other would then go on in another order than
 * they did. One at a time they come back in the order in which they were begun, then as now. They lock the run's row anyway.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#isTaken ? this.#wait(work) : this.#begin(work);
  }

  async #wait<Result>(work: () => Promise<Result>): Promise<Result> {
    // Whoever is through hands its turn on, so that nobody comes in between.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#begin(work);
  }

  async #begin<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#isTaken = true;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#isTaken = false;
      else next();
    }
  }
}
