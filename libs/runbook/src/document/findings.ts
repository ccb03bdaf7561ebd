import type { Finding, SourcePosition } from '@fettle/contracts';
import { formatPath, type JsonPath } from '../json.js';

/** Findings beyond this number are counted, not listed. */
export const MAX_FINDINGS = 200;

export interface FindingOptions {
  readonly severity?: Finding['severity'] | undefined;
  readonly path?: JsonPath | undefined;
  readonly position?: SourcePosition | undefined;
  readonly text?: string | undefined;
  /** The name that was probably meant. */
  readonly suggestion?: string | undefined;
}

/** A finding without the members that are not known. */
export function finding(code: string, message: string, options: FindingOptions = {}): Finding {
  const { severity = 'error', path, position, text, suggestion } = options;
  return {
    code,
    message,
    severity,
    ...(path === undefined || path.length === 0 ? {} : { path: formatPath(path) }),
    ...(position === undefined ? {} : { position }),
    ...(text === undefined || text === '' ? {} : { text: text.slice(0, 120) }),
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

/** By place in the source; at most `MAX_FINDINGS`, with one more that tells how many were left out. */
export function orderedFindings(findings: readonly Finding[]): readonly Finding[] {
  const sorted = [...findings].sort(
    (a, b) =>
      (a.position?.line ?? 0) - (b.position?.line ?? 0) || (a.position?.column ?? 0) - (b.position?.column ?? 0),
  );
  if (sorted.length <= MAX_FINDINGS) return sorted;
  const shown = sorted.slice(0, MAX_FINDINGS);
  const left = sorted.length - MAX_FINDINGS;
  const last = shown[MAX_FINDINGS - 1];
  return [
    ...shown,
    finding('too-many-findings', `${left} more finding${left === 1 ? ' is' : 's are'} not shown`, {
      position: last?.position,
    }),
  ];
}
