import { StandardSchemaValidationPipe } from '@nestjs/common';
import type { ArgumentMetadata } from '@nestjs/common';
import { FettleError, type Finding } from '@fettle/contracts';

const maxDepth = 100;
const maxFindings = 100;
const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Validates body, query and path by the zod schema of the handler's parameter. Before any schema sees a value it is checked for
 * what no part of Fettle can hold: NUL and lone surrogates (Postgres stores neither), keys that change prototypes, deep nesting.
 */
export class RequestPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({ exceptionFactory: (issues) => invalidRequest(issues.slice(0, maxFindings).map(issueFinding)) });
  }

  override async transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    const schema = (metadata as { schema?: unknown }).schema;
    if (schema === undefined) return value;
    checkPlain(value);
    // Express leaves the body undefined where there is none: an empty request is an empty object to its schema.
    const given = value === undefined && metadata.type === 'body' ? ({} as T) : value;
    return super.transform(given, metadata);
  }

  /** `checkPlain` has refused such keys; the inherited search would overflow the stack on deep values. */
  protected override stripProtoKeys(): void {}
}

/** Without recursion, so that depth is bounded by the check and not by the stack. */
function checkPlain(root: unknown): void {
  const open: { readonly value: unknown; readonly path: string; readonly depth: number }[] = [
    { value: root, path: '', depth: 0 },
  ];
  for (let item = open.pop(); item; item = open.pop()) {
    const { value, path, depth } = item;
    if (typeof value === 'string') checkText(value, path);
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= maxDepth) throw invalidRequest([finding(path, `nesting is deeper than ${maxDepth}`)]);
    const isList = Array.isArray(value);
    for (const [key, child] of Object.entries(value)) {
      if (!isList) checkKey(key, path);
      // A path is only for the message; below a few levels it is not worth its cost.
      const childPath = depth > 8 ? path : join(path, key, isList);
      open.push({ value: child, path: childPath, depth: depth + 1 });
    }
  }
}

function checkText(text: string, path: string): void {
  if (text.includes('\0')) throw invalidRequest([finding(path, 'must not hold the character NUL')]);
  if (!text.isWellFormed())
    throw invalidRequest([finding(path, 'holds half of a surrogate pair, which is no character')]);
}

function checkKey(key: string, path: string): void {
  if (forbiddenKeys.has(key)) throw invalidRequest([finding(path, `must not have a member "${key}"`)]);
  checkText(key, path);
}

function join(path: string, key: PropertyKey, isList: boolean): string {
  const shown = String(key).slice(0, 100);
  if (isList || typeof key === 'number') return `${path}[${shown}]`;
  return path === '' ? shown : `${path}.${shown}`;
}

function issueFinding(issue: Issue): Finding {
  const path = (issue.path ?? [])
    .map((part) => (typeof part === 'object' ? part.key : part))
    .reduce<string>((joined, key) => join(joined, key, false), '');
  return finding(path, issue.message);
}

function finding(path: string, message: string): Finding {
  return { code: 'invalid-value', severity: 'error', message, path };
}

function invalidRequest(findings: readonly Finding[]): FettleError {
  const first = findings[0];
  const where = first?.path ? `${first.path}: ` : '';
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : '';
  return new FettleError({
    code: 'invalid-request',
    message: `The request is not valid: ${where}${first?.message ?? 'malformed'}${more}`,
    detail: { findings },
  });
}
