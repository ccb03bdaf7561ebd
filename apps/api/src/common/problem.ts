import { HttpException } from '@nestjs/common';
import { FettleError, problemStatus, type Problem } from '@fettle/contracts';
import { fromDatabaseError } from '@fettle/database';
import { STATUS_CODES } from 'node:http';

/** Codes of problems that HTTP itself names, by status. */
const httpCodes: Readonly<Record<number, string>> = {
  400: 'invalid-request',
  404: 'not-found',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  408: 'timeout',
  413: 'limit-exceeded',
  414: 'limit-exceeded',
  415: 'unsupported-media-type',
  429: 'too-many-requests',
  503: 'unavailable',
};

/** A problem document, and whether it is a defect of the server that must be logged. */
export interface ProblemAnswer {
  readonly problem: Problem;
  readonly isDefect: boolean;
}

/** Maps anything thrown to a problem document (RFC 9457). What is unknown gives 500 and tells nothing of itself. */
export function toProblem(thrown: unknown, requestId: string): ProblemAnswer {
  const error = fromDatabaseError(thrown);
  if (error instanceof FettleError) return fromFettleError(error, requestId);
  const http = httpStatusOf(error);
  if (http && http.status < 500) {
    return {
      problem: problem(http.status, httpCodes[http.status] ?? 'invalid-request', http.message, requestId),
      isDefect: false,
    };
  }
  if (http?.status === 503) {
    return { problem: problem(503, 'unavailable', http.message, requestId), isDefect: false };
  }
  const detail = 'Something went wrong in the server. Its log tells more under the request id.';
  return { problem: problem(500, 'internal', detail, requestId), isDefect: true };
}

function fromFettleError(error: FettleError, requestId: string): ProblemAnswer {
  const status = Object.hasOwn(problemStatus, error.code) ? problemStatus[error.code] : statusOfOwnCodes[error.code];
  // A code that is not listed is a defect: its message was not written for callers.
  if (status === undefined) {
    const detail = `The server failed with "${error.code}". Its log tells more under the request id.`;
    return { problem: problem(500, 'internal', detail, requestId), isDefect: true };
  }
  const { findings, ...context } = error.detail ?? {};
  const document: Problem = {
    ...problem(status, error.code, error.message, requestId),
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    ...(Array.isArray(findings) ? { findings: findings as Record<string, unknown>[] } : {}),
    ...(Object.keys(context).length === 0 && !error.position
      ? {}
      : { context: { ...context, ...(error.position ? { position: error.position } : {}) } }),
  };
  return { problem: document, isDefect: false };
}

/** Codes that only HTTP handling gives. */
const statusOfOwnCodes: Readonly<Record<string, number>> = {
  'too-many-streams': 429,
  'unsupported-media-type': 415,
  'invalid-schedule': 422,
  'invalid-time-zone': 422,
};

function problem(status: number, code: string, detail: string, requestId: string): Problem {
  return {
    type: `urn:fettle:problem:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail,
    requestId,
  };
}

/** Status and text of Nest's exceptions and of those that Express and its body parsers throw (`http-errors`). */
function httpStatusOf(error: unknown): { readonly status: number; readonly message: string } | null {
  if (error instanceof HttpException) return { status: error.getStatus(), message: nestMessage(error) };
  if (!(error instanceof Error)) return null;
  const status = 'status' in error && typeof error.status === 'number' ? error.status : null;
  if (status === null || status < 400 || status > 599) return null;
  return { status, message: status < 500 ? error.message : 'The server cannot answer now.' };
}

function nestMessage(error: HttpException): string {
  const response = error.getResponse();
  if (typeof response === 'string') return response;
  const message: unknown = 'message' in response ? response.message : undefined;
  if (Array.isArray(message)) return message.join('; ');
  return typeof message === 'string' ? message : error.message;
}
