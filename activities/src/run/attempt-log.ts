import { TextDecoder } from 'node:util';
import { sizeText } from '@fettle/contracts';
import type { LogChunk } from '@fettle/database';
import { RedactionSet, type Redactor } from '@fettle/security';

/**
 * Of one attempt's output so much is kept where the runbook says nothing else: its first and its last half (of both streams
 * together); what lies between is counted.
 */
export const DEFAULT_LOG_BYTES = 1_048_576;
/** A chunk ends at the last newline below this; a longer line continues in the next chunk. */
export const MAX_CHUNK_CHARACTERS = 16_384;
/** Small pieces of the tail are joined up to this: half a million buffers of one byte would weigh a hundred times their content. */
const MIN_TAIL_PIECE_BYTES = 4_096;

type Stream = 'stdout' | 'stderr';

const nothingToMask = new RedactionSet([]);

interface StreamState {
  /** What is masked now, and the place in the stream that it has reached. */
  redactions: RedactionSet;
  redactor: Redactor;
  /** Null: there was nothing to decode yet; most attempts say nothing on one of the streams, and many on none. */
  decoder: TextDecoder | null;
  pending: string;
  /** Line that the first pending character belongs to, from 1. */
  line: number;
  /** Characters (code points) still to be passed over: a worker before this one wrote them. */
  toSkip: number;
  /** Characters that stand in the log or are about to. */
  written: number;
}

/** Collects the output of one attempt as text chunks with line numbers, within declared limits. */
export class AttemptLog {
  readonly #identity: Pick<LogChunk, 'assetId' | 'step' | 'generation'>;
  readonly #streams: Readonly<Record<Stream, StreamState>>;
  readonly #redactions: () => RedactionSet;
  readonly #halfBytes: number;
  #isSilent = true;
  readonly #ready: LogChunk[] = [];
  #headBytes = 0;
  #tail: { readonly stream: Stream; readonly chunk: Buffer }[] = [];
  #tailBytes = 0;
  #droppedBytes = 0;
  #droppedLines: Record<Stream, number> = { stdout: 0, stderr: 0 };

  /**
   * `redactions` tells what to mask; it is asked at each write, so that a secret opened later is masked from then on.
   * `logged`: characters of each stream that stand in the log already; the output is then given again from its beginning.
   */
  constructor(
    identity: Pick<LogChunk, 'assetId' | 'step' | 'generation'>,
    redactions: () => RedactionSet = () => nothingToMask,
    logged: Readonly<Record<Stream, number>> = { stdout: 0, stderr: 0 },
    maxBytes = DEFAULT_LOG_BYTES,
  ) {
    this.#halfBytes = maxBytes / 2;
    this.#identity = identity;
    this.#streams = { stdout: newStream(logged.stdout), stderr: newStream(logged.stderr) };
    this.#redactions = redactions;
  }

  /**
   * Takes bytes as they come, masks secrets before anything is cut off: half of one would pass every mask. Invalid UTF-8 becomes
   * U+FFFD, and so does NUL, which Postgres cannot store.
   */
  write(stream: Stream, chunk: Buffer): void {
    const state = this.#streams[stream];
    const redactions = this.#redactions();
    this.#isSilent = false;
    if (state.redactions !== redactions) {
      this.#keep(stream, state.redactor.flush());
      state.redactions = redactions;
      state.redactor = redactions.redactor();
    }
    this.#keep(stream, redactions.isEmpty ? chunk : state.redactor.write(chunk));
  }

  #keep(stream: Stream, chunk: Buffer): void {
    const room = this.#halfBytes - this.#headBytes;
    if (chunk.length <= room) {
      this.#headBytes += chunk.length;
      this.#decode(stream, chunk);
      return;
    }
    if (room > 0) {
      this.#headBytes = this.#halfBytes;
      this.#decode(stream, chunk.subarray(0, room));
    }
    this.#keepTail(stream, chunk.subarray(Math.max(0, room)));
  }

  /** Whether exactly these characters of each stream stand in the log: then nobody else wrote meanwhile. */
  hasWritten(logged: Readonly<Record<Stream, number>>): boolean {
    return this.#streams.stdout.written === logged.stdout && this.#streams.stderr.written === logged.stderr;
  }

  note(text: string): void {
    this.#ready.push({ ...this.#identity, stream: 'note', line: 1, body: text.slice(0, MAX_CHUNK_CHARACTERS) });
  }

  /** Takes what can be written now; a line still growing goes out as well, and its rest follows with the same number. */
  take(): LogChunk[] {
    for (const stream of ['stdout', 'stderr'] as const) this.#cut(stream, true);
    return this.#ready.splice(0);
  }

  /** The last chunks, once the attempt has ended. */
  close(): LogChunk[] {
    if (this.#isSilent) return this.take();
    for (const stream of ['stdout', 'stderr'] as const) this.#keep(stream, this.#streams[stream].redactor.flush());
    this.#admitUnmasked();
    this.#flushDecoders();
    if (this.#tailBytes > 0) {
      for (const stream of ['stdout', 'stderr'] as const) this.#cut(stream, true);
      if (this.#droppedBytes > 0)
        this.note(
          `... ${this.#droppedBytes} bytes of output are not kept (limit ${sizeText(2 * this.#halfBytes)} an attempt) ...\n`,
        );
      for (const stream of ['stdout', 'stderr'] as const) this.#streams[stream].line += this.#droppedLines[stream];
      for (const { stream, chunk } of this.#tail) this.#decode(stream, chunk);
      this.#flushDecoders();
    }
    return this.take();
  }

  /** Whoever reads this output must know where it may show a secret. */
  #admitUnmasked(): void {
    for (const { name, reason } of this.#redactions().unprotected)
      this.note(`The credential "${name}" is not masked in this output: its value is ${reason.replace('-', ' ')}.\n`);
  }

  #flushDecoders(): void {
    for (const state of Object.values(this.#streams))
      state.pending += (state.decoder?.decode() ?? '').replaceAll('\0', '\uFFFD');
  }

  #keepTail(stream: Stream, chunk: Buffer): void {
    if (chunk.length === 0) return;
    // A copy: the driver's buffer may be a slice of a larger one, which would stay in memory with it.
    const kept = Buffer.from(chunk.subarray(Math.max(0, chunk.length - this.#halfBytes)));
    this.#drop(stream, chunk.subarray(0, chunk.length - kept.length));
    const last = this.#tail.at(-1);
    if (last?.stream === stream && last.chunk.length < MIN_TAIL_PIECE_BYTES) {
      this.#tail[this.#tail.length - 1] = { stream, chunk: Buffer.concat([last.chunk, kept]) };
    } else {
      this.#tail.push({ stream, chunk: kept });
    }
    this.#tailBytes += kept.length;
    while (this.#tailBytes > this.#halfBytes) {
      const { stream: from, chunk: first } = this.#tail[0]!;
      const dropped = first.subarray(0, Math.min(first.length, this.#tailBytes - this.#halfBytes));
      // Only part of a piece: with a small limit a whole one would be most of the tail.
      if (dropped.length === first.length) this.#tail.shift();
      else this.#tail[0] = { stream: from, chunk: first.subarray(dropped.length) };
      this.#tailBytes -= dropped.length;
      this.#drop(from, dropped);
    }
  }

  #drop(stream: Stream, bytes: Buffer): void {
    this.#droppedBytes += bytes.length;
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) this.#droppedLines[stream] += 1;
  }

  #decode(stream: Stream, chunk: Buffer): void {
    const state = this.#streams[stream];
    state.decoder ??= new TextDecoder('utf-8');
    state.pending += state.decoder.decode(chunk, { stream: true }).replaceAll('\0', '\uFFFD');
    if (state.pending.length >= MAX_CHUNK_CHARACTERS) this.#cut(stream, false);
  }

  /** Moves pending text to chunks: whole ones, and with `all` the rest as well. */
  #cut(stream: Stream, all: boolean): void {
    const state = this.#streams[stream];
    while (state.pending.length >= MAX_CHUNK_CHARACTERS || (all && state.pending.length > 0)) {
      const window = state.pending.slice(0, MAX_CHUNK_CHARACTERS);
      const newline = window.lastIndexOf('\n');
      const end = newline === -1 ? wholeCharacters(window) : newline + 1;
      const body = state.pending.slice(0, end);
      const skipped = state.toSkip === 0 ? '' : firstCharacters(body, state.toSkip);
      const kept = body.slice(skipped.length);
      state.toSkip -= countCharacters(skipped);
      state.written += countCharacters(kept);
      const line = state.line + countNewlines(skipped);
      if (kept.length > 0) this.#ready.push({ ...this.#identity, stream, line, body: kept });
      state.pending = state.pending.slice(end);
      state.line += countNewlines(body);
    }
  }
}

function newStream(logged: number): StreamState {
  const redactor = nothingToMask.redactor();
  return { redactions: nothingToMask, redactor, decoder: null, pending: '', line: 1, toSkip: logged, written: logged };
}

/** As Postgres counts them: code points. */
function countCharacters(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length - 1; at += 1) if (isPair(text, at)) count -= 1;
  return count;
}

function firstCharacters(text: string, count: number): string {
  let at = 0;
  for (let taken = 0; taken < count && at < text.length; taken += 1) at += isPair(text, at) ? 2 : 1;
  return text.slice(0, at);
}

function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) ?? 0) > 0xffff;
}

/** Length without half of a surrogate pair at the end. */
function wholeCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return text.length > 1 && last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
