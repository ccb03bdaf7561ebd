interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does one thing after the other, and what comes while one is being done is done as one. What fails together is tried once more each by
 * itself (`isRepeated`), so that what hinders one does not hinder the others.
 */
export class Together<Item, Result> {
  readonly #work: (items: readonly Item[], isRepeated: boolean) => Promise<readonly Result[]>;
  #waiting: Waiting<Item, Result>[] = [];
  #isWorking = false;

  /** `work` gives one result for each item, in their order. */
  constructor(work: (items: readonly Item[], isRepeated: boolean) => Promise<readonly Result[]>) {
    this.#work = work;
  }

  take(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (!this.#isWorking) void this.#workAll();
    });
  }

  async #workAll(): Promise<void> {
    this.#isWorking = true;
    while (this.#waiting.length > 0) {
      const together = this.#waiting;
      this.#waiting = [];
      await this.#workOn(together, false);
    }
    this.#isWorking = false;
  }

  async #workOn(together: readonly Waiting<Item, Result>[], isRepeated: boolean): Promise<void> {
    try {
      const results = await this.#work(
        together.map(({ item }) => item),
        isRepeated,
      );
      together.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      if (together.length === 1) return together[0]!.reject(error);
      for (const one of together) await this.#workOn([one], true);
    }
  }
}
