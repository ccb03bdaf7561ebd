import { performance } from 'node:perf_hooks';

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Tells when a command must end: `cancelled` by its signal or `timeout`. Stop it to free its timer. */
export function watchEnd(
  signal: AbortSignal,
  timeoutMs: number,
): { ended: Promise<'cancelled' | 'timeout'>; stop: () => void } {
  let stop = (): void => undefined;
  const ended = new Promise<'cancelled' | 'timeout'>((resolve) => {
    const onAbort = (): void => resolve('cancelled');
    // A longer delay than a timer takes would end at once.
    const timer = setTimeout(() => resolve('timeout'), Math.min(timeoutMs, MAX_TIMER_MS));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
  });
  return { ended, stop };
}

/** The time of one command: the clock starts when the command is first sent, and nothing sets it back. */
export class CommandClock {
  private endsAtMs: number | undefined;

  constructor(private readonly timeoutMs: number) {}

  /** What is left, at least 0; the first call starts the clock. */
  remainingMs(): number {
    this.endsAtMs ??= performance.now() + this.timeoutMs;
    return Math.max(0, this.endsAtMs - performance.now());
  }
}

/** Waits for a promise to settle, either way, but no longer than a limit. */
export async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([
    promise.then(
      () => undefined,
      () => undefined,
    ),
    timeout,
  ]);
  clearTimeout(timer);
}
