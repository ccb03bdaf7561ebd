import { HttpException } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { IncomingMessage } from 'node:http';
import type { FettleRequest, FettleResponse, Next } from './request.js';

/** Routes that take more than the usual; others have `defaultBodyBytes`. */
export const bodyLimits: readonly { readonly path: string; readonly maxBytes: number }[] = [
  { path: '/api/v1/assets/import', maxBytes: 128 * 1024 * 1024 },
];
export const defaultBodyBytes = 2 * 1024 * 1024;

/** Reads JSON bodies within their limits; anything else with a body is 415. */
export function readBodies(app: NestExpressApplication): void {
  app.use(requireJson);
  for (const { path, maxBytes } of bodyLimits) {
    app.useBodyParser('json', {
      limit: maxBytes,
      strict: true,
      type: (request: IncomingMessage) => pathOf(request) === path,
    });
  }
  const special = new Set(bodyLimits.map(({ path }) => path));
  const isUsual = (request: IncomingMessage): boolean => !special.has(pathOf(request));
  app.useBodyParser('json', { limit: defaultBodyBytes, strict: true, type: isUsual });
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}

function requireJson(request: FettleRequest, _response: FettleResponse, next: Next): void {
  const { headers } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody || /^application\/json(\s*;.*)?$/i.test(headers['content-type'] ?? '')) {
    next();
    return;
  }
  next(new HttpException('A body must have the type application/json.', 415));
}
