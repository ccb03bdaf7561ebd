import { FettleError } from '@fettle/contracts';
import type { FettleRequest } from '../common/request.js';

/** Where a stream goes on: after the id that a reconnecting client saw last, otherwise after what it asked for. */
export function cursorOf(request: FettleRequest, after: number): number {
  const header = request.headers['last-event-id'];
  if (header === undefined || header === '') return after;
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header);
  throw new FettleError({ code: 'invalid-cursor', message: 'Last-Event-ID is not an id that this stream gave.' });
}
