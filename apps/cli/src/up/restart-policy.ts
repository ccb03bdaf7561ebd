export const MAX_RESTARTS = 5;
export const RESTART_WINDOW_MS = 60_000;
const FIRST_DELAY_MS = 250;

/** Allows five restarts within any 60 seconds, each waiting twice as long as the one before. Pure but for its memory. */
export class RestartPolicy {
  #restartsAtMs: number[] = [];

  /** How long to wait before the next restart, or undefined when the limit is reached. */
  nextDelayMs(nowMs: number): number | undefined {
    this.#restartsAtMs = this.#restartsAtMs.filter((atMs) => nowMs - atMs < RESTART_WINDOW_MS);
    const recent = this.#restartsAtMs.length;
    if (recent >= MAX_RESTARTS) return undefined;
    this.#restartsAtMs.push(nowMs);
    return FIRST_DELAY_MS * 2 ** recent;
  }

  /** Restarts within the window, the one allowed last included. */
  get recentRestarts(): number {
    return this.#restartsAtMs.length;
  }
}
