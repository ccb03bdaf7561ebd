/** Where text goes. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Text waits for a reader that is slower than we are. */
  readonly writableNeedDrain?: boolean;
  once?(event: 'drain', listener: () => void): unknown;
}

/** All that a command uses of its process: tests give their own. */
export interface CliHost {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: NodeJS.ReadStream | NodeJS.ReadableStream;
  readonly env: NodeJS.ProcessEnv;
  /** From the first call on, Ctrl-C and SIGTERM abort the signal instead of ending the process. */
  interruption(): AbortSignal;
  now(): Date;
}
