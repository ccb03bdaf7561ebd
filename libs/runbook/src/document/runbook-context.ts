import type { Finding, RunbookSpec } from '@fettle/contracts';
import type { ActionRegistry } from '../engine/program-nodes.js';
import { formatPath, isRecord, type JsonPath } from '../json.js';
import type { DocumentPlaces } from './document-places.js';
import { finding, type FindingOptions } from './findings.js';
import type { KnownSteps } from './known-steps.js';

/** Which runbooks are known besides the one that is looked at. */
export interface RunbookLookup {
  /** The space of the runbook that is looked at, and its name. */
  readonly space: string;
  readonly name: string;
  /** In the same space; undefined: not known. */
  readonly find: (name: string) => RunbookSpec | undefined;
}

/** What all checks of one runbook share. */
export interface RunbookContext {
  readonly spec: RunbookSpec;
  readonly places: DocumentPlaces;
  readonly actions: ActionRegistry;
  readonly runbooks: RunbookLookup;
  readonly steps: KnownSteps;
  readonly findings: Finding[];
}

export type Reporter = Pick<RunbookContext, 'places' | 'findings'>;

/** Adds a finding at a value. */
export function report(
  { findings, places }: Reporter,
  code: string,
  message: string,
  path: JsonPath,
  options: FindingOptions = {},
): void {
  findings.push(finding(code, message, { path, ...places.valueAt(path), ...options }));
}

/** Adds findings whose paths are relative to the value at `base`. */
export function reportRelative(
  { places, findings }: Reporter,
  base: JsonPath,
  value: unknown,
  found: readonly Finding[],
): void {
  const prefix = formatPath(base);
  for (const one of found) {
    const path = one.path === undefined ? prefix : `${prefix}${one.path.startsWith('[') ? '' : '.'}${one.path}`;
    const { position, text } = places.keyAt(pathOfText(path, base, value));
    findings.push({ ...one, path, position, ...(text === '' ? {} : { text }) });
  }
}

/** A path that is known only as text, found among those of the value; where it does not exist, the nearest one around it. */
function pathOfText(wanted: string, base: JsonPath, root: unknown): JsonPath {
  let best = base;
  const visit = (value: unknown, path: JsonPath): void => {
    const text = formatPath(path);
    if (!wanted.startsWith(text)) return;
    if (wanted === text || /^[.[]/.test(wanted.slice(text.length))) best = path.length > best.length ? path : best;
    for (const [key, member] of membersOf(value)) visit(member, [...path, key]);
  };
  visit(root, base);
  return best;
}

/** The members of an object or the items of a list; none of anything else. */
export function membersOf(value: unknown): readonly (readonly [string | number, unknown])[] {
  if (Array.isArray(value)) return [...(value as readonly unknown[]).entries()];
  return isRecord(value) ? Object.entries(value) : [];
}

/** Paths of the texts that hold an expression: what stands there is known only later. */
export function dynamicPaths(value: unknown, path: JsonPath = []): readonly JsonPath[] {
  if (typeof value === 'string') return value.includes('${{') ? [path] : [];
  return membersOf(value).flatMap(([key, member]) => dynamicPaths(member, [...path, key]));
}

export function isPrefix(prefix: JsonPath, path: JsonPath): boolean {
  return prefix.length <= path.length && prefix.every((part, index) => part === path[index]);
}
