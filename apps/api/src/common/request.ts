import type { AuthenticatedPrincipal } from '@fettle/operations';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Who asks, and under which id: known after the permission guard. */
export interface Caller {
  readonly principal: AuthenticatedPrincipal;
  readonly requestId: string;
}

/** An HTTP request with what Express and the API add to it. */
export interface FettleRequest extends IncomingMessage {
  /** Express: path without query. */
  readonly path: string;
  readonly originalUrl: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** The parsed body, whatever it is; undefined: none. */
  readonly body: unknown;
  /** Express: the route that was matched. */
  readonly route?: { readonly path?: unknown };
  requestId?: string;
  caller?: Caller;
}

/** An answer under way; Express adds more, of which nothing is used. */
export type FettleResponse = ServerResponse;
export type Next = (error?: unknown) => void;
