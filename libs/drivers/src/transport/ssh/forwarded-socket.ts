import { Duplex } from 'node:stream';

export interface OpenedForward {
  readonly stream: Duplex;
  /** Called once, when the socket is over. */
  readonly release: () => void;
}

/**
 * A socket whose far end is reached through somebody else: what is written waits until that stands. It behaves as a socket of
 * Node's that is connecting, which is what an SSH client takes in its place.
 */
export class ForwardedSocket extends Duplex {
  connecting = true;
  #opened: OpenedForward | null = null;
  #write: (() => void) | null = null;
  readonly #abort = new AbortController();

  constructor(open: (signal: AbortSignal) => Promise<OpenedForward>) {
    super({ allowHalfOpen: false });
    open(this.#abort.signal).then(
      (opened) => this.#attach(opened),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _read(): void {
    this.#opened?.stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const write = (): void => void this.#opened?.stream.write(chunk, done);
    if (this.#opened) write();
    else this.#write = write;
  }

  override _final(done: () => void): void {
    this.#opened?.stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#abort.abort();
    this.#close(this.#opened);
    done(error);
  }

  #attach(opened: OpenedForward): void {
    const { stream } = opened;
    if (this.destroyed) return this.#close(opened);
    this.#opened = opened;
    stream.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) stream.pause();
    });
    stream.on('end', () => this.push(null));
    stream.on('error', (error) => this.destroy(error));
    stream.on('close', () => this.destroy());
    this.connecting = false;
    this.emit('connect');
    this.#write?.();
    this.#write = null;
  }

  #close(opened: OpenedForward | null): void {
    opened?.stream.destroy();
    opened?.release();
  }
}
