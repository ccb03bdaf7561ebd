import { uuidv7 } from 'uuidv7';
import type { FettleRequest, FettleResponse, Next } from './request.js';

/** What a caller may choose as id: enough for UUIDs and trace ids, nothing that could forge a log line. */
const acceptable = /^[A-Za-z0-9._:-]{8,100}$/;

/** Gives each request an id, the caller's where it is sane, and answers with it. */
export function assignRequestId(request: FettleRequest, response: FettleResponse, next: Next): void {
  const given = request.headers['x-request-id'];
  const requestId = typeof given === 'string' && acceptable.test(given) ? given : uuidv7();
  request.requestId = requestId;
  response.setHeader('x-request-id', requestId);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('cache-control', 'no-store');
  next();
}
