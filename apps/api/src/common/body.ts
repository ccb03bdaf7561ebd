import { HttpException } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { IncomingMessage } from 'node:http';
import type { FettleRequest, FettleResponse, Next } from './request.js';

export const defaultBodyBytes = 2 * 1024 * 1024;
const NDJSON_ROUTE = '/api/v1/assets/import';

/** Reads JSON bodies within their limits; anything else with a body is 415. */
export function readBodies(app: NestExpressApplication): void {
  app.use(requireJson);
  app.useBodyParser('json', { limit: defaultBodyBytes, strict: true, type: isJson });
}

/** NDJSON is read by its own route, as a stream. */
function isNdjsonRoute(request: IncomingMessage): boolean {
  return pathOf(request) === NDJSON_ROUTE;
}

function isJson(request: IncomingMessage): boolean {
  return !isNdjsonRoute(request);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}

function requireJson(request: FettleRequest, _response: FettleResponse, next: Next): void {
  const { headers } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  const type = headers['content-type'] ?? '';
  const isRead = isNdjsonRoute(request)
    ? /^application\/(x-ndjson|jsonl)(\s*;.*)?$/i.test(type)
    : /^application\/json(\s*;.*)?$/i.test(type);
  if (!hasBody || isRead) {
    next();
    return;
  }
  const wanted = isNdjsonRoute(request) ? 'application/x-ndjson' : 'application/json';
  next(new HttpException(`A body must have the type ${wanted}.`, 415));
}
