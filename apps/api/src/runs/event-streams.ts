import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { FettleError } from '@fettle/contracts';
import { Authenticator } from '@fettle/operations';
import { isGone, writeWithDrain } from '../common/send-lines.js';
import type { Caller, FettleRequest, FettleResponse } from '../common/request.js';
import { Metrics } from '../system/metrics.js';
import { RunWakeups, type Wakeup } from './run-wakeups.js';

/** One page of what happened in a run, after a cursor. */
export interface EventPage {
  readonly events: readonly { readonly type: string; readonly seq: number; readonly data: unknown }[];
  /** The run had ended when the page was read. */
  readonly ended: boolean;
}

export interface StreamRequest {
  readonly runId: string;
  readonly after: number;
  readonly readPage: (after: number, limit: number) => Promise<EventPage>;
}

export const maxStreams = 500;
export const maxStreamsOfPrincipal = 50;
/** A chunk of log has at most 64 KiB, so a stream holds a few MiB at worst. */
const pageEvents = 32;
const pollMs = 2000;
const heartbeatMs = 15_000;
/** A reader may rest this long; its stream holds one page meanwhile. */
const patienceMs = 600_000;
const recheckMs = 30_000;
/** Reads that may fail one after the other (a restart of the database) before the stream is given up. */
const maxFailedReads = 30;

/**
 * Follows runs as server-sent events (WHATWG HTML, section 9.2). Each stream reads a page after its own cursor, writes it, waits
 * until the socket has taken it, and only then reads the next: a slow reader holds one page and slows nobody.
 */
@Injectable()
export class EventStreams implements BeforeApplicationShutdown {
  readonly #open = new Map<FettleResponse, { readonly principalId: string; readonly wakeup: Wakeup }>();
  #isClosing = false;

  constructor(
    private readonly wakeups: RunWakeups,
    private readonly authenticator: Authenticator,
    private readonly metrics: Metrics,
  ) {}

  /** Ends all streams; clients come back with their last id. */
  beforeApplicationShutdown(): void {
    this.#isClosing = true;
    for (const [response, { wakeup }] of this.#open) {
      wakeup.close();
      response.end();
    }
  }

  /** Resolves when the stream has ended. @throws FettleError `too-many-streams`, `unavailable`, before anything is written. */
  async follow(request: FettleRequest, response: FettleResponse, caller: Caller, stream: StreamRequest): Promise<void> {
    this.#admit(caller);
    const wakeup = this.wakeups.subscribe(stream.runId);
    this.#open.set(response, { principalId: caller.principal.id, wakeup });
    this.metrics.openStreams.set(this.#open.size);
    // A reader that goes away ends the wait at once.
    response.once('close', wakeup.close);
    try {
      await this.#run(request, response, wakeup, stream);
    } finally {
      wakeup.close();
      this.#open.delete(response);
      this.metrics.openStreams.set(this.#open.size);
    }
  }

  #admit({ principal }: Caller): void {
    if (this.#isClosing)
      throw new FettleError({ code: 'unavailable', message: 'The server is stopping.', remedy: 'Try again.' });
    const own = [...this.#open.values()].filter((stream) => stream.principalId === principal.id).length;
    if (own < maxStreamsOfPrincipal && this.#open.size < maxStreams) return;
    throw new FettleError({
      code: 'too-many-streams',
      message: `Too many event streams are open (${own} of yours, ${this.#open.size} in all).`,
      remedy: 'Close some, or read /runs/:id and /runs/:id/logs instead.',
    });
  }

  async #run(request: FettleRequest, response: FettleResponse, wakeup: Wakeup, stream: StreamRequest): Promise<void> {
    let after = stream.after;
    // Before the headers: what is wrong with the request is still answered as a problem.
    let page = await stream.readPage(after, pageEvents);
    writeHead(response);
    let failedReads = 0;
    let wroteAtMs = Date.now();
    let checkedAtMs = Date.now();
    while (!isGone(response) && !this.#isClosing) {
      for (const event of page.events) {
        if (!(await writeWithDrain(response, eventText(event.type, event.seq, event.data), patienceMs))) return;
        after = event.seq;
        wroteAtMs = Date.now();
      }
      if (page.events.length === 0) {
        if (page.ended) break;
        if (Date.now() - wroteAtMs >= heartbeatMs) {
          if (!(await writeWithDrain(response, ': still here\n\n', patienceMs))) return;
          wroteAtMs = Date.now();
        }
        await wakeup.next(pollMs);
      }
      if (Date.now() - checkedAtMs >= recheckMs) {
        if (!(await this.#isStillSignedIn(request))) return void response.end();
        checkedAtMs = Date.now();
      }
      try {
        page = await stream.readPage(after, pageEvents);
        failedReads = 0;
      } catch (error) {
        failedReads += 1;
        if (failedReads > maxFailedReads) throw error;
        page = { events: [], ended: false };
      }
    }
    if (isGone(response)) return;
    if (!this.#isClosing) response.write(eventText('end', after, { after }));
    response.end();
  }

  /** A revoked token must not go on reading through a stream it opened before. An error counts as yes: it is asked again. */
  async #isStillSignedIn(request: FettleRequest): Promise<boolean> {
    const token = (request.headers.authorization ?? '').replace(/^Bearer +/i, '');
    try {
      return (await this.authenticator.authenticate(token)) !== null;
    } catch {
      return true;
    }
  }
}

function writeHead(response: FettleResponse): void {
  response.statusCode = 200;
  response.setHeader('content-type', 'text/event-stream; charset=utf-8');
  response.setHeader('x-accel-buffering', 'no');
  response.flushHeaders();
  response.write('retry: 1000\n\n');
}

/** JSON holds no line break, so one `data` line carries it. */
function eventText(type: string, seq: number, data: unknown): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
