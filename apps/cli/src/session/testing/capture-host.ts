import { Readable } from 'node:stream';
import { runCli } from '../../run-cli.js';
import type { CliHost, Sink } from '../host.js';

export interface CapturedRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CaptureOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** The standard input is a terminal as well, at which this is typed. */
  readonly typed?: string;
  /** Both streams behave as terminals of 100 columns. */
  readonly terminal?: boolean;
  readonly signal?: AbortSignal;
  /** Called with each text, as it is written. */
  readonly onWrite?: (stream: 'stdout' | 'stderr', text: string) => void;
}

export class CapturingSink implements Sink {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 100;

  constructor(
    isTTY: boolean,
    private readonly onWrite: (text: string) => void = () => undefined,
  ) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    this.text += text;
    this.onWrite(text);
    return true;
  }
}

export function captureHost(options: CaptureOptions = {}): CliHost & { stdout: CapturingSink; stderr: CapturingSink } {
  const { env = {}, onWrite, signal = new AbortController().signal, stdin = '', terminal = false, typed } = options;
  const given = typed ?? stdin;
  return {
    stdout: new CapturingSink(terminal, (text) => onWrite?.('stdout', text)),
    stderr: new CapturingSink(terminal, (text) => onWrite?.('stderr', text)),
    stdin: Object.assign(Readable.from(given === '' ? [] : [Buffer.from(given)]), { isTTY: typed !== undefined }),
    env,
    interruption: () => signal,
    now: () => new Date(),
  };
}

/** Runs one command line within this process. */
export async function capture(args: readonly string[], options: CaptureOptions = {}): Promise<CapturedRun> {
  const host = captureHost(options);
  const exitCode = await runCli(args, host);
  return { exitCode, stdout: host.stdout.text, stderr: host.stderr.text };
}
