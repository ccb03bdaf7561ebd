import type { Sink } from '../session/host.js';
import { truncate } from './text.js';

const MIN_REDRAW_MS = 80;
const PLAIN_INTERVAL_MS = 10_000;

/**
 * One line at the bottom of the terminal that changes in place, with other lines scrolling above it. Where stderr is no
 * terminal, the line is printed as it stands every ten seconds at most.
 */
export class LiveLine {
  #drawn = false;
  #drawnAtMs = 0;
  #text = '';

  constructor(
    private readonly sink: Sink,
    private readonly now: () => number = Date.now,
  ) {
    this.#drawnAtMs = sink.isTTY === true ? 0 : now();
  }

  /** @param paint colours the text once it has been cut to the width of the terminal */
  set(text: string, paint: (cut: string) => string = (cut) => cut): void {
    this.#text = text;
    const isTerminal = this.sink.isTTY === true;
    if (this.now() - this.#drawnAtMs < (isTerminal ? MIN_REDRAW_MS : PLAIN_INTERVAL_MS)) return;
    this.#drawnAtMs = this.now();
    if (!isTerminal) {
      this.sink.write(`${text}\n`);
      return;
    }
    const cut = truncate(this.#text, Math.max(20, (this.sink.columns ?? 80) - 1));
    this.sink.write(`\r\u001b[2K${paint(cut)}`);
    this.#drawn = true;
  }

  /** Takes the line away, so that something else may be written; the next `set` draws it again. */
  clear(): void {
    if (this.#drawn) this.sink.write('\r\u001b[2K');
    this.#drawn = false;
    if (this.sink.isTTY === true) this.#drawnAtMs = 0;
  }
}
