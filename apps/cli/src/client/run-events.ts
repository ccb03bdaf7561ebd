import { setTimeout as sleep } from 'node:timers/promises';
import { entrySchema, FettleError, logChunkSchema, type Entry, type RunLogChunk } from '@fettle/contracts';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { ApiProblemError, InterruptedError, UnreachableError } from '../session/errors.js';
import type { ApiClient } from './api-client.js';

export type RunEvent =
  | { readonly type: 'entry'; readonly data: Entry }
  | { readonly type: 'log'; readonly data: RunLogChunk }
  /** The connection was lost and is tried again. */
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'back' };

export interface FollowOptions {
  readonly after?: number;
  readonly logs?: boolean;
  /** How long without a connection until it is given up. */
  readonly patienceMs?: number;
  /** Silence after which a connection counts as dead; the API says something every 15 s. */
  readonly silenceMs?: number;
}

const PATIENCE_MS = 120_000;
const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 5000;
/** One event is one entry or one chunk of output; a chunk is at most 16,384 characters. */
const MAX_EVENT_CHARACTERS = 4_194_304;

/**
 * Follows a run until it ends. Where the connection breaks it goes on after the last event that was seen (Last-Event-ID), so
 * that nothing is missed or comes twice.
 * @throws UnreachableError when the API stays away longer than `patienceMs`; ApiProblemError; InterruptedError
 */
export async function* followRun(
  client: ApiClient,
  runId: string,
  options: FollowOptions = {},
): AsyncGenerator<RunEvent, void, undefined> {
  const { patienceMs = PATIENCE_MS } = options;
  const cursor = { after: options.after ?? 0 };
  let lostAtMs: number | null = null;
  let waitMs = FIRST_WAIT_MS;
  for (;;) {
    let reason: string;
    try {
      for await (const event of readStream(client, runId, cursor, options)) {
        if (lostAtMs !== null) {
          lostAtMs = null;
          yield { type: 'back' };
        }
        if (event === 'connected') continue;
        // Not before an event came: an API that only accepts and closes must not be asked four times a second.
        waitMs = FIRST_WAIT_MS;
        if (event === 'end') return;
        yield event;
      }
      reason = 'the connection ended';
    } catch (error) {
      if (!isPassing(error)) throw error;
      reason = error instanceof UnreachableError ? error.reason : error.message;
    }
    if (lostAtMs === null) {
      lostAtMs = Date.now();
      yield { type: 'lost', reason };
    }
    if (Date.now() - lostAtMs > patienceMs) throw gaveUp(reason, patienceMs);
    await pause(client, waitMs);
    waitMs = Math.min(MAX_WAIT_MS, waitMs * 2);
  }
}

function isPassing(error: unknown): error is Error {
  return error instanceof UnreachableError || (error instanceof ApiProblemError && isPassingStatus(error.status));
}

function isPassingStatus(status: number): boolean {
  return status === 429 || status >= 500;
}

function gaveUp(reason: string, patienceMs: number): UnreachableError {
  return new UnreachableError(
    `The API has not come back for ${Math.round(patienceMs / 1000)} s: ${reason}`,
    'The run goes on without its reader. Once the API is back, follow it again.',
  );
}

async function pause(client: ApiClient, waitMs: number): Promise<void> {
  try {
    await sleep(waitMs, undefined, { signal: client.signal });
  } catch {
    throw new InterruptedError();
  }
}

/** One connection: the events it carries, then `end` where the run has ended. */
async function* readStream(
  client: ApiClient,
  runId: string,
  cursor: { after: number },
  { logs = false, silenceMs = SILENCE_MS }: FollowOptions,
): AsyncGenerator<RunEvent | 'connected' | 'end', void, undefined> {
  const response = await client.send('GET', `/api/v1/runs/${encodeURIComponent(runId)}/events`, {
    query: { after: cursor.after, logs },
    headers: { accept: 'text/event-stream', ...(cursor.after > 0 ? { 'last-event-id': String(cursor.after) } : {}) },
    timeoutMs: 0,
  });
  yield 'connected';
  let ready: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => ready.push(event), maxBufferSize: MAX_EVENT_CHARACTERS });
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  try {
    for (;;) {
      const next = await readWithin(client, reader, silenceMs);
      if (next.done) return;
      parser.feed(decoder.decode(next.value, { stream: true }));
      const events = ready;
      ready = [];
      for (const event of events) {
        if (event.event === 'end') return yield 'end';
        const read = readEvent(event);
        if (read === null) continue;
        yield read;
        cursor.after = read.data.seq;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function readWithin(
  client: ApiClient,
  reader: Reader,
  silenceMs: number,
): Promise<Awaited<ReturnType<Reader['read']>>> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${Math.round(silenceMs / 1000)} s`)), silenceMs);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    throw client.failed(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Null for an event of a kind that this version does not know. */
function readEvent(event: EventSourceMessage): Extract<RunEvent, { data: unknown }> | null {
  if (event.event !== 'entry' && event.event !== 'log') return null;
  try {
    const value: unknown = JSON.parse(event.data);
    if (event.event === 'entry') return { type: 'entry', data: entrySchema.parse(value) };
    return { type: 'log', data: logChunkSchema.parse(value) };
  } catch (error) {
    throw new FettleError({
      code: 'unexpected-answer',
      message: `An event of the run came in a shape that this version does not know: ${event.data.slice(0, 200)}`,
      remedy: 'Are the API and this program of the same version?',
      cause: error,
    });
  }
}
