import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { FettleError, pageOf, problemSchema } from '@fettle/contracts';
import type { z } from 'zod';
import { ApiProblemError, InterruptedError, messageOf, UnreachableError } from '../session/errors.js';

export interface ApiAddress {
  /** Base URL without a path. */
  readonly url: string;
  /** Null: no token was found; the API says what that means. */
  readonly token: string | null;
  /** How the address was found, for messages. */
  readonly origin: string;
}

export type QueryValue = string | number | boolean | null | undefined;

export interface RequestOptions {
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: { readonly contentType: string; readonly text: string };
  /** `null`: a new one, so that the request may be repeated when its answer got lost. */
  readonly idempotencyKey?: string | null;
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

const DEFAULT_TIMEOUT_MS = 60_000;
/** A request that may be repeated is tried again after these: a process that restarts is away for about that long. */
const RETRY_DELAYS_MS: readonly number[] = [200, 600, 1500];
export const MAX_PAGE = 1000;

/** Talks to the control API; every answer is checked against its contract before a command uses it. */
export class ApiClient {
  constructor(
    readonly address: ApiAddress,
    readonly signal: AbortSignal,
  ) {}

  /** @throws ApiProblemError, UnreachableError, InterruptedError; FettleError `unexpected-answer` */
  async request<Schema extends z.ZodType>(
    method: Method,
    path: string,
    schema: Schema,
    options: RequestOptions = {},
  ): Promise<z.output<Schema>> {
    const response = await this.send(method, path, options);
    const text = await this.#read(response, () => response.text());
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#unexpected(method, path, 'no JSON');
    }
    const parsed = schema.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw this.#unexpected(method, path, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'another shape'}`);
    }
    // What was sent, not what the schema made of it: a newer API's additional members stay visible in -o json.
    return value as z.output<Schema>;
  }

  get<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    query: Readonly<Record<string, QueryValue>> = {},
  ): Promise<z.output<Schema>> {
    return this.request('GET', path, schema, { query });
  }

  post<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    options: RequestOptions = {},
  ): Promise<z.output<Schema>> {
    return this.request('POST', path, schema, options);
  }

  /** Items of a keyset list, page by page; at most `limit` in all where one is given. */
  async *pages<Schema extends z.ZodType>(
    path: string,
    item: Schema,
    query: Readonly<Record<string, QueryValue>>,
    limit = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<{ readonly items: z.output<Schema>[]; readonly next: string | null }, void, undefined> {
    let after: string | null = null;
    let left = limit;
    do {
      const page: { items: z.output<Schema>[]; next: string | null } = await this.get(path, pageOf(item), {
        ...query,
        limit: Math.min(left, MAX_PAGE),
        after,
      });
      left -= page.items.length;
      yield page;
      after = page.next;
    } while (after !== null && left > 0);
  }

  /** The same in one array, and whether there is more than was asked for. */
  async list<Schema extends z.ZodType>(
    path: string,
    item: Schema,
    query: Readonly<Record<string, QueryValue>>,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly items: z.output<Schema>[]; readonly hasMore: boolean }> {
    const items: z.output<Schema>[] = [];
    let hasMore = false;
    for await (const page of this.pages(path, item, query, limit)) {
      for (const one of page.items) items.push(one);
      hasMore = page.next !== null;
    }
    return { items, hasMore };
  }

  /** Text as it comes, for answers that are not JSON. */
  async *chunks(
    path: string,
    query: Readonly<Record<string, QueryValue>> = {},
  ): AsyncGenerator<string, void, undefined> {
    const response = await this.send('GET', path, { query, timeoutMs: 0 });
    const decoder = new TextDecoder();
    const iterator = response.body?.[Symbol.asyncIterator]();
    while (iterator !== undefined) {
      const next = await this.#read(response, () => iterator.next());
      if (next.done === true) break;
      yield decoder.decode(next.value as Uint8Array, { stream: true });
    }
    yield decoder.decode();
  }

  /** Sends a request and returns the answer with its body unread, once its status is a success. */
  async send(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
    const key = options.idempotencyKey === null ? randomUUID() : options.idempotencyKey;
    const mayRepeat = method === 'GET' || key !== undefined;
    for (let attempt = 0; ; attempt += 1) {
      const delayMs = mayRepeat ? RETRY_DELAYS_MS[attempt] : undefined;
      try {
        const response = await this.#sendOnce(method, path, options, key);
        if (response.status !== 503 || delayMs === undefined) return await this.#succeeded(response);
        await response.body?.cancel();
      } catch (error) {
        if (!(error instanceof UnreachableError) || delayMs === undefined) throw error;
      }
      await this.#pause(delayMs);
    }
  }

  async #sendOnce(method: Method, path: string, options: RequestOptions, key: string | undefined): Promise<Response> {
    const url = new URL(path, this.address.url);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined && value !== null && value !== '') url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
    if (this.address.token !== null) headers.authorization = `Bearer ${this.address.token}`;
    if (key !== undefined) headers['idempotency-key'] = key;
    const body = options.raw?.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    if (body !== undefined) headers['content-type'] = options.raw?.contentType ?? 'application/json';
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const signal = timeoutMs > 0 ? AbortSignal.any([this.signal, AbortSignal.timeout(timeoutMs)]) : this.signal;
    try {
      // A redirect would carry the token elsewhere.
      return await fetch(url, { method, headers, signal, redirect: 'error', ...(body === undefined ? {} : { body }) });
    } catch (error) {
      throw this.failed(error);
    }
  }

  async #succeeded(response: Response): Promise<Response> {
    if (response.ok) return response;
    const text = await this.#read(response, () => response.text());
    throw toProblemError(response.status, text, this.address);
  }

  async #read<Value>(_response: Response, read: () => Promise<Value>): Promise<Value> {
    try {
      return await read();
    } catch (error) {
      throw this.failed(error);
    }
  }

  async #pause(delayMs: number): Promise<void> {
    try {
      await sleep(delayMs, undefined, { signal: this.signal });
    } catch {
      throw new InterruptedError();
    }
  }

  /** What an error of `fetch` means to the person. */
  failed(error: unknown): FettleError {
    if (this.signal.aborted) return new InterruptedError();
    if (error instanceof FettleError) return error;
    const { url, origin } = this.address;
    return new UnreachableError(
      `The API at ${url} does not answer: ${reasonOf(error)} (${origin}).`,
      'Is it running? `fettle status` tells for a local stack, `fettle up` starts one; FETTLE_URL names another API.',
      reasonOf(error),
      error,
    );
  }

  #unexpected(method: Method, path: string, what: string): FettleError {
    return new FettleError({
      code: 'unexpected-answer',
      message: `${method} ${path} at ${this.address.url} was answered in a shape that this version does not know (${what}).`,
      remedy: 'Is FETTLE_URL the address of a Fettle API, and of the same version as this program?',
    });
  }
}

function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('name' in error && error.name === 'TimeoutError') return 'it took too long';
  const cause: unknown = 'cause' in error ? error.cause : undefined;
  // Several addresses were tried.
  const first: unknown =
    typeof cause === 'object' && cause !== null && 'errors' in cause && Array.isArray(cause.errors)
      ? cause.errors[0]
      : cause;
  return first === undefined || messageOf(first) === '' ? messageOf(error) : messageOf(first);
}

function toProblemError(status: number, text: string, address: ApiAddress): ApiProblemError {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  const parsed = problemSchema.safeParse(value);
  if (!parsed.success)
    return new ApiProblemError({
      status,
      code: `http-${status}`,
      detail: `${address.url} answered with HTTP ${status}.`,
    });
  const { remedy: ofApi, ...problem } = parsed.data;
  // What the API says about signing in is meant for programs that set headers themselves.
  const remedy = status === 401 ? remedyOf(status, address) : (ofApi ?? remedyOf(status, address));
  return new ApiProblemError({ ...problem, ...(remedy === undefined ? {} : { remedy }) });
}

function remedyOf(status: number, { token, url }: ApiAddress): string | undefined {
  if (status === 401) {
    const local = 'a local stack keeps its own in the file `token` of its data directory, readable by its owner only';
    return token === null
      ? `Set FETTLE_TOKEN to a token (\`fettle token create\` makes one); ${local}.`
      : `Set FETTLE_TOKEN to a token that is valid at ${url}; ${local}.`;
  }
  return status === 403 ? '`fettle whoami` shows what you may do.' : undefined;
}
