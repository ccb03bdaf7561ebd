import { Buffer } from 'node:buffer';
import type { Redactor } from '@fettle/security';
import { MAX_KEPT_OUTPUT_BYTES } from '../contracts.js';
import type { TargetContext } from '../implementation.js';

/** Keeps the first bytes of a stream for later steps, masked before they are cut; the log has the rest. */
class KeptOutput {
  readonly #chunks: Buffer[] = [];
  readonly #redactor: Redactor;
  #bytes = 0;
  truncated = false;

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  add(chunk: Buffer): void {
    if (this.#bytes < MAX_KEPT_OUTPUT_BYTES) this.#keep(this.#redactor.write(chunk));
    else this.truncated = true;
  }

  #keep(masked: Buffer): void {
    const room = MAX_KEPT_OUTPUT_BYTES - this.#bytes;
    if (masked.length > room) this.truncated = true;
    this.#chunks.push(masked.subarray(0, room));
    this.#bytes += Math.min(room, masked.length);
  }

  /** Once the stream has ended. */
  text(): string {
    if (!this.truncated) this.#keep(this.#redactor.flush());
    const decoded = new TextDecoder().decode(Buffer.concat(this.#chunks));
    // Postgres text cannot hold NUL.
    return decoded.replaceAll('\0', '\uFFFD').replace(/\r?\n$/, '');
  }
}

/** Both streams, cut and masked for later steps. */
export class KeptStreams {
  readonly stdout: KeptOutput;
  readonly stderr: KeptOutput;

  constructor(context: TargetContext) {
    this.stdout = new KeptOutput(context.redactor());
    this.stderr = new KeptOutput(context.redactor());
  }
}
