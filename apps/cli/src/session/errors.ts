import { FettleError, type Finding, type Problem } from '@fettle/contracts';
import { EXIT } from './exit-codes.js';

/** The command line itself is wrong. */
export class UsageError extends FettleError {
  constructor(message: string, remedy?: string) {
    super({ code: 'usage', message, remedy });
    this.name = 'UsageError';
  }
}

/** A file that is no document has errors; nothing of it was used. */
export class InvalidFileError extends FettleError {
  constructor(
    file: string,
    readonly findings: readonly Finding[],
    errors: number,
  ) {
    super({
      code: 'invalid-file',
      message: `${file}: ${errors} error${errors === 1 ? '' : 's'}; nothing was imported`,
      remedy: 'Mend what is listed and try again.',
    });
    this.name = 'InvalidFileError';
  }
}

/** Ctrl-C, or a signal that asks to end. */
export class InterruptedError extends FettleError {
  constructor(message = 'interrupted') {
    super({ code: 'interrupted', message });
    this.name = 'InterruptedError';
  }
}

/** No answer from the API: `tried` says which address, and how often. */
export class UnreachableError extends FettleError {
  constructor(
    message: string,
    remedy: string,
    /** The same in a few words. */
    readonly reason = 'it is not there',
    cause?: unknown,
  ) {
    super({ code: 'api-unreachable', message, remedy, cause });
    this.name = 'UnreachableError';
  }
}

/** An answer of the API that is a problem document (RFC 9457). */
export class ApiProblemError extends FettleError {
  readonly status: number;
  readonly requestId: string | null;
  readonly findings: readonly Finding[];

  constructor(
    problem: Pick<Problem, 'status' | 'code' | 'detail' | 'remedy' | 'findings' | 'context'> & { requestId?: string },
  ) {
    super({ code: problem.code, message: problem.detail, remedy: problem.remedy, detail: problem.context });
    this.name = 'ApiProblemError';
    this.status = problem.status;
    this.requestId = problem.requestId ?? null;
    this.findings = (problem.findings ?? []).map(toFinding);
  }
}

/** What a command ends with after this error. */
export function exitCodeOfError(error: unknown): number {
  if (error instanceof ApiProblemError) {
    if (error.status === 401) return EXIT.notSignedIn;
    if (error.status === 403) return EXIT.denied;
    if (error.status === 404) return EXIT.notFound;
    return EXIT.error;
  }
  if (!(error instanceof FettleError)) return EXIT.error;
  switch (error.code) {
    case 'usage':
      return EXIT.usage;
    case 'not-found':
      return EXIT.notFound;
    case 'not-signed-in':
      return EXIT.notSignedIn;
    case 'interrupted':
      return EXIT.interrupted;
    default:
      return EXIT.error;
  }
}

/** A finding as an answer carries it: whatever is missing or of another type is left out. */
export function toFinding(value: Readonly<Record<string, unknown>>): Finding {
  const text = (key: string): string | undefined => (typeof value[key] === 'string' ? value[key] : undefined);
  const place = value.position;
  const position =
    typeof place === 'object' && place !== null && 'line' in place && 'column' in place ? place : undefined;
  return {
    code: text('code') ?? 'invalid',
    message: text('message') ?? JSON.stringify(value),
    severity: value.severity === 'warning' ? 'warning' : 'error',
    path: text('path'),
    position:
      position === undefined
        ? undefined
        : {
            file: 'file' in position && typeof position.file === 'string' ? position.file : undefined,
            line: Number(position.line),
            column: Number(position.column),
          },
    text: text('text'),
    suggestion: text('suggestion'),
  };
}

/** `ENOENT` and the like of an error of the system. */
export function systemCode(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null;
}

/** An error of another realm is no `instanceof Error`. */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string'
    ? error.message
    : String(error);
}
