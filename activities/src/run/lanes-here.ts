/** One attempt to serve a lane, from when Temporal hands it out until it has returned. */
export interface LaneService {
  /** Settles when the attempt before it in this process has returned. */
  readonly turn: Promise<void>;
  /** Aborted when the run is cancelled. */
  readonly cancelled: AbortSignal;
  /** Nothing more is to be claimed; what is in flight may end. */
  readonly isAbandoned: boolean;
  cancel(): void;
  abandon(): void;
  close(): void;
}

interface Attempt {
  readonly cancelled: AbortController;
  readonly closed: Promise<void>;
  isAbandoned: boolean;
  readonly before: Attempt | null;
}

/**
 * The lanes that this process serves. Temporal hands a lane out again when it missed its heartbeats; where the earlier attempt
 * lives on in the same process, the new one lets it end what it has in flight first: nothing is then unknown, and nothing is
 * executed beside itself.
 */
export class LanesHere {
  readonly #attempts = new Map<string, Attempt>();

  open(key: string): LaneService {
    const before = this.#attempts.get(key) ?? null;
    if (before) before.isAbandoned = true;
    let resolveClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => (resolveClosed = resolve));
    const attempt: Attempt = { cancelled: new AbortController(), closed, isAbandoned: false, before };
    this.#attempts.set(key, attempt);
    return {
      turn: before?.closed ?? Promise.resolve(),
      cancelled: attempt.cancelled.signal,
      get isAbandoned() {
        return attempt.isAbandoned;
      },
      cancel() {
        // The attempts before this one hear nothing of the run any more but through it.
        for (let one: Attempt | null = attempt; one !== null; one = one.before) one.cancelled.abort();
      },
      abandon() {
        attempt.isAbandoned = true;
      },
      close: () => {
        if (this.#attempts.get(key) === attempt) this.#attempts.delete(key);
        resolveClosed();
      },
    };
  }
}
