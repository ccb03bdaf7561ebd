import { Buffer } from 'node:buffer';

const MAX_TRAILER_BYTES = 8 * 1024;

/** Tells the output of a command from what the script says after it, on the same stream: a line with a nonce, then an explanation. */
export class StateScanner {
  private readonly marker: Buffer;
  private pending: Buffer = Buffer.alloc(0);
  private trailer: Buffer | undefined;

  constructor(nonce: string) {
    this.marker = Buffer.from(`\n${nonce}-state `);
  }

  /** Takes a chunk and gives what certainly is output. */
  feed(chunk: Buffer): Buffer {
    if (this.trailer !== undefined) {
      if (this.trailer.length < MAX_TRAILER_BYTES) this.trailer = Buffer.concat([this.trailer, chunk]);
      return Buffer.alloc(0);
    }
    const all = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    const at = all.indexOf(this.marker);
    if (at >= 0) {
      this.trailer = Buffer.from(all.subarray(at + this.marker.length));
      this.pending = Buffer.alloc(0);
      return all.subarray(0, at);
    }
    const kept = this.possibleStart(all);
    this.pending = Buffer.from(all.subarray(all.length - kept));
    return all.subarray(0, all.length - kept);
  }

  /** The words of the line, and what follows it; undefined: the script did not come to it, and `rest` was output. */
  end(): { readonly words: readonly string[]; readonly explanation: string } | undefined {
    if (this.trailer === undefined) return undefined;
    const text = this.trailer.toString('utf8');
    const end = text.indexOf('\n');
    if (end < 0) return undefined;
    return { words: text.slice(0, end).split(' '), explanation: text.slice(end + 1).trim() };
  }

  /** How many bytes at the end of these may be the beginning of the marker. */
  private possibleStart(bytes: Buffer): number {
    for (let at = bytes.indexOf(10, Math.max(0, bytes.length - this.marker.length + 1)); at >= 0;) {
      const length = bytes.length - at;
      if (bytes.subarray(at).equals(this.marker.subarray(0, length))) return length;
      at = bytes.indexOf(10, at + 1);
    }
    return 0;
  }
}
