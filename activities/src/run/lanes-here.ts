/** What a lane that is being served hears of the outside. */
export interface LaneSignals {
  /** Aborted when the run is cancelled: commands in flight are ended on their hosts. */
  readonly cancelled: AbortSignal;
  /** Nothing more is to be claimed; what is in flight may end. */
  readonly isAbandoned: boolean;
}

/** One attempt of the activity that serves a lane. */
export interface LaneService<Report> {
  /** What the lane reports when it has been served. */
  readonly report: Promise<Report>;
  cancel(): void;
  abandon(): void;
}

interface Served<Report> {
  readonly cancelled: AbortController;
  /** The attempt that Temporal listens to; null: it was told to stop. */
  holder: symbol | null;
  readonly report: Promise<Report>;
}

/**
 * The lanes that this process serves. Temporal hands a lane out again when it missed its heartbeats; where the lane lives on in
 * the same process, the new attempt takes it over as it is: nothing is then unknown, nothing is executed beside itself, and a
 * slow command holds up nothing but its own slot.
 */
export class LanesHere<Report> {
  readonly #served = new Map<string, Served<Report>>();

  open(key: string, serve: (signals: LaneSignals) => Promise<Report>): LaneService<Report> {
    const attempt = Symbol(key);
    const served = this.#served.get(key) ?? this.#begin(key, serve);
    served.holder = attempt;
    return {
      report: served.report,
      cancel: () => served.cancelled.abort(),
      abandon: () => {
        // One that has been taken over has no say any more.
        if (served.holder === attempt) served.holder = null;
      },
    };
  }

  /** Ends what a lane has in flight that a cancel ends, and waits until it has been served; at once where it is not served here. */
  async end(key: string): Promise<void> {
    const served = this.#served.get(key);
    served?.cancelled.abort();
    await served?.report.catch(() => undefined);
  }

  #begin(key: string, serve: (signals: LaneSignals) => Promise<Report>): Served<Report> {
    const cancelled = new AbortController();
    const signals: LaneSignals = {
      cancelled: cancelled.signal,
      get isAbandoned() {
        return served.holder === null;
      },
    };
    const report = Promise.resolve()
      .then(() => serve(signals))
      .finally(() => this.#served.delete(key));
    const served: Served<Report> = { cancelled, holder: null, report };
    this.#served.set(key, served);
    return served;
  }
}
