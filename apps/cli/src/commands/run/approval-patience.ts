/** How long a follower waits while its run waits for an approval; each time anew. */
export class ApprovalPatience {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly seconds: number | undefined) {}

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** It is over, or there was none. */
  get isOut(): boolean {
    return this.seconds === undefined || this.signal.aborted;
  }

  /** True: it begins to count now. */
  take(isWaiting: boolean): boolean {
    if (!isWaiting || this.seconds === undefined) {
      this.end();
      return false;
    }
    if (this.#timer !== null) return false;
    // The longest that a timer takes.
    this.#timer = setTimeout(() => this.#controller.abort(), Math.min(this.seconds * 1000, 2 ** 31 - 1));
    return true;
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
