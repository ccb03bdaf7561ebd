import type { ReadableStream } from 'node:stream/web';
import { FettleError } from '@fettle/contracts';

export interface HttpRequest {
  readonly method: string;
  /** `http:` or `https:`; a user name or password in it is refused. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** For the whole exchange, body included. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Of the answer's body; what follows is not read. */
  readonly maxBodyBytes: number;
  /** `same-origin` (default) follows redirects within the origin; `none` gives the redirect itself as the answer. */
  readonly redirect?: 'same-origin' | 'none' | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The body was longer than `maxBodyBytes`. */
  readonly truncated: boolean;
  /** Where the answer came from, after redirects. */
  readonly url: string;
}

const MAX_REDIRECTS = 5;
const MAX_TIMER_MS = 2 ** 31 - 1;

type HttpErrorCode = 'http-unreachable' | 'http-timeout' | 'http-redirect-refused' | 'cancelled' | 'invalid-argument';

function httpError(
  code: HttpErrorCode,
  message: string,
  mayHaveStarted: boolean,
  remedy: string,
  cause?: unknown,
): FettleError {
  return new FettleError({ code, message, remedy, detail: { mayHaveStarted }, cause });
}

/** A URL for messages, without its query, which may hold a secret that nobody declared. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw httpError(
      'invalid-argument',
      'the address of an HTTP request must be an http or https URL without user name and password',
      false,
      'Give a full URL; pass credentials as a header.',
    );
  }
  return url;
}

/** Codes of failures before a connection stood (Node's `errno` names): the server cannot have seen the request. */
const notConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** What `fetch` wraps: the socket's error; several addresses give an AggregateError with a code but no message. */
function causeOf(error: unknown): { readonly code?: string; readonly text: string } {
  const cause: unknown = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined;
  if (typeof cause !== 'object' || cause === null) return { text: String(error) };
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  const message = 'message' in cause && typeof cause.message === 'string' ? cause.message : '';
  return { ...(code === undefined ? {} : { code }), text: message || (code ?? String(error)) };
}

/** `isFirst`: no request was answered before. After a redirect the server has seen one, whatever becomes of the next. */
function failureOf(
  error: unknown,
  url: URL,
  request: HttpRequest,
  state: { readonly timeout: AbortSignal; readonly isFirst: boolean },
): FettleError {
  if (error instanceof FettleError) return error;
  if (request.signal.aborted) {
    return httpError(
      'cancelled',
      `the request to ${shownUrl(url)} was cancelled`,
      true,
      'Start it again if it is still wanted.',
    );
  }
  if (state.timeout.aborted) {
    return httpError(
      'http-timeout',
      `${shownUrl(url)} did not answer within ${request.timeoutMs} ms`,
      true,
      'Raise the timeout, or look why the service is slow.',
      error,
    );
  }
  const { code, text } = causeOf(error);
  return httpError(
    'http-unreachable',
    `${shownUrl(url)} cannot be reached: ${text}`,
    !state.isFirst || code === undefined || !notConnected.has(code),
    'Check the address and that the service runs.',
    error,
  );
}

async function readBody(response: Response, maxBytes: number): Promise<{ body: Buffer; truncated: boolean }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (response.body === null) return { body: Buffer.alloc(0), truncated: false };
  // The global's type leaves open what the stream carries; fetch gives bytes.
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { body: Buffer.concat(chunks), truncated: false };
    const left = maxBytes - bytes;
    if (value.length > left) {
      if (left > 0) chunks.push(value.subarray(0, left));
      await reader.cancel().catch(() => undefined);
      return { body: Buffer.concat(chunks), truncated: true };
    }
    chunks.push(value);
    bytes += value.length;
  }
}

/** Where a redirect leads, or undefined if the response is the answer. RFC 9110 section 15.4. */
function redirectTarget(response: Response, url: URL, request: HttpRequest): URL | undefined {
  const location = response.headers.get('location');
  if (request.redirect === 'none' || location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
    return undefined;
  }
  const target = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
  // Headers may carry a token meant for this origin alone, and a body may not be wanted elsewhere.
  if (target === undefined || target.origin !== url.origin || target.username !== '' || target.password !== '') {
    throw httpError(
      'http-redirect-refused',
      `${shownUrl(url)} redirects to another origin${target === undefined ? '' : ` (${target.origin})`}`,
      true,
      'Use the final address of the service.',
    );
  }
  return target;
}

/**
 * Sends one request and reads the answer up to a limit. Any status is an answer, not an error.
 * @throws FettleError `http-unreachable`, `http-timeout`, `http-redirect-refused`, `cancelled`, `invalid-argument`;
 *   `detail.mayHaveStarted` is false only where the server cannot have seen the request
 */
export async function httpRequest(request: HttpRequest): Promise<HttpResponse> {
  let url = parseUrl(request.url);
  let method = request.method.toUpperCase();
  let body = request.body;
  let hops = 0;
  if (request.signal.aborted) {
    throw httpError(
      'cancelled',
      `cancelled before a request was sent to ${shownUrl(url)}`,
      false,
      'Start it again if wanted.',
    );
  }
  const timeout = AbortSignal.timeout(Math.min(request.timeoutMs, MAX_TIMER_MS));
  const signal = AbortSignal.any([request.signal, timeout]);
  try {
    for (; hops <= MAX_REDIRECTS; hops += 1) {
      const response = await fetch(url.href, {
        method,
        headers: { ...request.headers },
        redirect: 'manual',
        signal,
        ...(body === undefined ? {} : { body }),
      });
      const target = redirectTarget(response, url, request);
      if (target === undefined) {
        const read = await readBody(response, request.maxBodyBytes);
        return { status: response.status, headers: Object.fromEntries(response.headers), url: url.href, ...read };
      }
      await response.body?.cancel();
      if (response.status === 303 || ([301, 302].includes(response.status) && method === 'POST')) {
        method = 'GET';
        body = undefined;
      }
      url = target;
    }
  } catch (error) {
    throw failureOf(error, url, request, { timeout, isFirst: hops === 0 });
  }
  throw httpError(
    'http-redirect-refused',
    `${shownUrl(url)}: more than ${MAX_REDIRECTS} redirects`,
    true,
    'Use the final address of the service.',
  );
}
