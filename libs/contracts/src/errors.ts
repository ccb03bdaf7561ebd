/** Where in a source text a problem lies. Lines and columns count from 1; columns count UTF-16 code units. */
export interface SourcePosition {
  readonly file?: string | undefined;
  readonly line: number;
  readonly column: number;
}

export interface FettleErrorOptions {
  /** Stable machine-readable code in kebab-case, e.g. `no-targets`. It never changes once published. */
  readonly code: string;
  /** What is wrong and where, for a person. */
  readonly message: string;
  /** What the person can do about it. */
  readonly remedy?: string | undefined;
  /** Structured context; never a secret. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
  readonly position?: SourcePosition | undefined;
  readonly cause?: unknown;
}

/** The one base of all domain errors. The API maps `code` to an RFC 9457 problem document through `problemStatus`. */
export class FettleError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;
  readonly detail: Readonly<Record<string, unknown>> | undefined;
  readonly position: SourcePosition | undefined;

  constructor(options: FettleErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FettleError';
    this.code = options.code;
    this.remedy = options.remedy;
    this.detail = options.detail;
    this.position = options.position;
  }
}

/** One finding in a document or an import file; a validation reports all of them at once. */
export interface Finding {
  readonly code: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
  /** Path inside the document, e.g. `spec.steps[0].with.argv`. */
  readonly path?: string | undefined;
  readonly position?: SourcePosition | undefined;
  /** The offending text, at most 120 characters. */
  readonly text?: string | undefined;
  readonly suggestion?: string | undefined;
}

/** Thrown when a document or file has findings of severity `error`. */
export class InvalidDocumentError extends FettleError {
  readonly findings: readonly Finding[];

  constructor(what: string, findings: readonly Finding[]) {
    const errors = findings.filter((finding) => finding.severity === 'error');
    const first = errors[0];
    super({
      code: 'invalid-document',
      message: `${what}: ${errors.length} error${errors.length === 1 ? '' : 's'}${first ? `; first: ${first.message}` : ''}`,
      remedy: 'Mend the findings listed and try again; `fettle validate -f FILE` checks without a server.',
      detail: { findings },
    });
    this.name = 'InvalidDocumentError';
    this.findings = findings;
  }
}

/** HTTP status of each error code; a code not listed here is a defect of the server (500). RFC 9110 section 15. */
export const problemStatus: Readonly<Record<string, number>> = {
  'invalid-document': 422,
  'invalid-expression': 422,
  'invalid-request': 400,
  'invalid-cursor': 400,
  'invalid-import': 422,
  'invalid-schedule': 422,
  'invalid-time-zone': 422,
  'invalid-time': 400,
  'invalid-inputs': 422,
  'no-targets': 422,
  'too-many-targets': 422,
  'limit-exceeded': 413,
  'not-signed-in': 401,
  denied: 403,
  'not-found': 404,
  'no-history': 404,
  'already-exists': 409,
  conflict: 409,
  'idempotency-conflict': 409,
  'calendar-closed': 409,
  'run-ended': 409,
  'run-open': 409,
  'nothing-to-resume': 409,
  'already-resumed': 409,
  'called-run': 409,
  'unsettled-steps': 409,
  'nothing-unknown': 409,
  'version-changed': 409,
  'no-such-signal': 409,
  'invalid-payload': 422,
  'capacity-impossible': 422,
  'invalid-capacity': 422,
  'plan-drift': 409,
  'approval-closed': 409,
  'approval-expired': 409,
  'already-decided': 409,
  'host-key-mismatch': 409,
  'host-unreachable': 502,
  'unknown-value': 422,
  unavailable: 503,
};

/**
 * An error as a process may log it: type, code, message and stack with those of its causes, and no other property. Errors of the
 * database carry the statement's parameters, which hold outputs, inputs and sealed values.
 */
export function errorForLog(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? error.slice(0, 2000) : typeof error;
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? String(error.code) : undefined;
  return {
    type: name,
    code,
    message,
    stack,
    cause: cause === undefined || depth > 4 ? undefined : errorForLog(cause, depth + 1),
  };
}
