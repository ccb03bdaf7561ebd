import type { AssetKind, Criticality, Finding, LifecycleState, SourcePosition } from '@fettle/contracts';

/** Limits of one import, whatever its format. They keep a hostile file from taking the process with it. */
export const IMPORT_LIMITS = {
  maxRows: 1_000_000,
  maxColumns: 200,
  /** Of one cell, in UTF-16 code units, which never undercounts characters. */
  maxFieldChars: 4096,
  /** Findings listed; all of them are counted. */
  maxFindings: 1000,
  maxLabelChars: 256,
  maxLabelsPerAsset: 100,
  maxGroups: 20_000,
  /** Edges between groups, and memberships of hosts written in the files. */
  maxMemberships: 4_000_000,
  /** Variables given to hosts, each host of a range counted. */
  maxAssignments: 20_000_000,
  maxFiles: 200_000,
} as const;

/** One asset as a file describes it. What is absent was not given: it leaves the stored value as it is and never clears it. */
export interface ImportRow {
  readonly file?: string;
  /** Line (from 1) on which the asset is first described. */
  readonly line: number;
  readonly name: string;
  readonly kind?: AssetKind;
  readonly site?: string;
  readonly owner?: string;
  readonly criticality?: Criticality;
  readonly lifecycle?: LifecycleState;
  readonly address?: string;
  readonly port?: number;
  readonly user?: string;
  /** Name of a credential, never its value. */
  readonly credential?: string;
  /** A pinned host key as OpenSSH writes it without comment: `ssh-ed25519 AAAA...`. */
  readonly hostKey?: string;
  /** Name of the asset that is the jump host. */
  readonly jump?: string;
  /** Keys in code unit order. */
  readonly labels: Readonly<Record<string, string>>;
  /** Ansible groups of the host, `all` and `ungrouped` left out, in code unit order. */
  readonly groups?: readonly string[];
}

export interface ImportResult {
  readonly rows: readonly ImportRow[];
  /** Errors before warnings; at most `IMPORT_LIMITS.maxFindings`. With one error or more, nothing may be imported. */
  readonly findings: readonly Finding[];
  /** How many there are in all, those not listed included. */
  readonly counts: { readonly errors: number; readonly warnings: number };
}

/** Collects findings up to the limit and counts the rest; errors are never pushed out by warnings. */
export class FindingList {
  readonly #errors: Finding[] = [];
  readonly #warnings: Finding[] = [];
  #errorCount = 0;
  #warningCount = 0;

  add(finding: Finding): void {
    if (finding.severity === 'error') {
      this.#errorCount += 1;
      if (this.#errors.length < IMPORT_LIMITS.maxFindings) this.#errors.push(finding);
    } else {
      this.#warningCount += 1;
      if (this.#warnings.length < IMPORT_LIMITS.maxFindings) this.#warnings.push(finding);
    }
  }

  error(
    code: string,
    message: string,
    position: SourcePosition,
    more: Pick<Finding, 'text' | 'suggestion'> = {},
  ): void {
    this.add(finding('error', code, message, position, more));
  }

  warn(code: string, message: string, position: SourcePosition, more: Pick<Finding, 'text' | 'suggestion'> = {}): void {
    this.add(finding('warning', code, message, position, more));
  }

  /** Counts an error that is listed already. */
  countError(): void {
    this.#errorCount += 1;
  }

  get errorCount(): number {
    return this.#errorCount;
  }

  /** The findings in the order of the file, errors first; `counts` says how many were not listed. */
  result(): Pick<ImportResult, 'findings' | 'counts'> {
    const findings = [...this.#errors, ...this.#warnings].slice(0, IMPORT_LIMITS.maxFindings);
    return { findings, counts: { errors: this.#errorCount, warnings: this.#warningCount } };
  }
}

function finding(
  severity: Finding['severity'],
  code: string,
  message: string,
  position: SourcePosition,
  more: Pick<Finding, 'text' | 'suggestion'>,
): Finding {
  const text = more.text === undefined ? undefined : shorten(more.text);
  return {
    code,
    message,
    severity,
    position,
    ...(text === undefined ? {} : { text }),
    ...(more.suggestion === undefined ? {} : { suggestion: more.suggestion }),
  };
}

/** At most 120 UTF-16 code units on one line, as `Finding.text` asks; control characters become visible, so no terminal obeys them. */
export function shorten(text: string, maxChars = 120): string {
  const head = text.length <= maxChars ? text : `${text.slice(0, maxChars - 3)}...`;
  return head.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => ESCAPES[character] ?? '\ufffd');
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
