/** A reply of one or more lines (RFC 5321 section 4.2), without code and separator. */
export interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

/** A server that says more than this without ending its reply says nothing that is wanted. */
const MAX_REPLY_BYTES = 65_536;

/** Makes replies of bytes as they come. */
export class SmtpReader {
  #bytes: Buffer = Buffer.alloc(0);
  #replies: Reply[] = [];
  #lines: string[] = [];
  #error: Error | null = null;
  #waiter: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | null = null;

  /** Nothing has come that was not taken. */
  get isEmpty(): boolean {
    return this.#bytes.length === 0 && this.#replies.length === 0 && this.#lines.length === 0;
  }

  feed(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (let end = this.#bytes.indexOf('\n'); end >= 0; end = this.#bytes.indexOf('\n')) {
      const line = this.#bytes.toString('utf8', 0, end).replace(/\r$/, '');
      this.#bytes = this.#bytes.subarray(end + 1);
      this.#take(line);
    }
    const held = this.#bytes.length + this.#lines.reduce((sum, line) => sum + line.length, 0);
    if (held > MAX_REPLY_BYTES || this.#replies.length > 100) this.fail(new Error('the server says too much'));
    this.#give();
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.#give();
  }

  /** The next reply; one asks at a time. What came before the connection was lost is still given. */
  next(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#give();
    });
  }

  #take(line: string): void {
    const match = /^([2-5]\d\d)([ -]?)(.*)$/s.exec(line);
    if (!match) return this.fail(new Error(`not a reply of SMTP: ${JSON.stringify(line.slice(0, 80))}`));
    this.#lines.push(match[3] ?? '');
    if (match[2] === '-') return;
    this.#replies.push({ code: Number(match[1]), lines: this.#lines });
    this.#lines = [];
  }

  #give(): void {
    const waiter = this.#waiter;
    if (!waiter) return;
    const reply = this.#replies.shift();
    if (reply) waiter.resolve(reply);
    else if (this.#error) waiter.reject(this.#error);
    else return;
    this.#waiter = null;
  }
}
