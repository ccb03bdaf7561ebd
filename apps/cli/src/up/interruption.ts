const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** One Ctrl-C arrives twice when npm passes on what the terminal has sent to all already. */
const SAME_KEY_MS = 500;

/** Turns signals into promises: the first asks for an orderly stop, a second one forces. */
export class Interruption {
  readonly #controller = new AbortController();
  readonly #onSignal: () => void;
  /** Resolves on the first signal. */
  readonly requested: Promise<'interrupted'>;
  /** Resolves on the second. */
  readonly forced: Promise<'forced'>;

  constructor() {
    let request: (value: 'interrupted') => void = () => undefined;
    let force: (value: 'forced') => void = () => undefined;
    this.requested = new Promise((resolve) => (request = resolve));
    this.forced = new Promise((resolve) => (force = resolve));
    let firstAtMs: number | undefined;
    this.#onSignal = () => {
      firstAtMs ??= Date.now();
      request('interrupted');
      if (Date.now() - firstAtMs >= SAME_KEY_MS) force('forced');
    };
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  /** Aborted once everything is to stop, for whatever reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort();
  }

  /** Gives the signals back their usual effect. */
  dispose(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }
}
