import { FettleError } from '@fettle/contracts';

/** Where a command writes: results to stdout, progress and complaints to stderr. */
export interface Output {
  readonly stdout: TextSink;
  readonly stderr: TextSink;
}

export interface TextSink {
  write(text: string): unknown;
  /** True for a terminal, as on Node's own streams. */
  readonly isTTY?: boolean;
}

/** Exit codes of the commands about the local stack. */
export const EXIT = { ok: 0, error: 1, usage: 2, notFound: 3, runFailed: 6, interrupted: 130 } as const;

/** Staged progress: each line starts with the seconds since the start. */
export class Progress {
  // Of this process: `npm start` has told of its own stages before.
  readonly #startedAtMs = performance.timeOrigin;

  constructor(private readonly sink: TextSink) {}

  say(line: string): void {
    const seconds = ((Date.now() - this.#startedAtMs) / 1000).toFixed(1);
    this.sink.write(`[${seconds.padStart(6)} s] ${line}\n`);
  }
}

/** What went wrong and, on a line of its own, what to do about it. */
export function printError(output: Output, error: unknown): void {
  output.stderr.write(`fettle: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof FettleError && error.remedy !== undefined)
    output.stderr.write(`  what to do: ${error.remedy}\n`);
}
