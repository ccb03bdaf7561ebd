import { formatPath, isRecord, type JsonPath } from '../json.js';

export interface DiffLine {
  readonly kind: 'added' | 'removed' | 'changed';
  /** e.g. `spec.steps[touch].with.argv[1]`: items of a list with ids are named by them. */
  readonly path: string;
  /** JSON text, shortened to 200 characters; absent where there was or is none. */
  readonly before?: string;
  readonly after?: string;
}

/** More lines are not collected; the last one then says so. */
const MAX_DIFF_LINES = 2000;

/**
 * What changes from one document's value to another's, in the order of the second one (what was removed comes where it
 * stood). Lists whose items all have an `id` are compared by id, and a change of their order is one line.
 */
export function diffDocuments(before: unknown, after: unknown): readonly DiffLine[] {
  const lines: DiffLine[] = [];
  compare(before, after, [], lines);
  if (lines.length <= MAX_DIFF_LINES) return lines;
  const after_ = `${lines.length - MAX_DIFF_LINES} more changes`;
  return [...lines.slice(0, MAX_DIFF_LINES), { kind: 'changed', path: '', after: after_ }];
}

/** `+ path: value`, `- path: value` or `~ path: before -> after`. */
export function formatDiffLine({ kind, path, before, after }: DiffLine): string {
  if (kind === 'added') return `+ ${path}: ${after}`;
  if (kind === 'removed') return `- ${path}: ${before}`;
  return before === undefined ? `~ ${path}: ${after}` : `~ ${path}: ${before} -> ${after}`;
}

function compare(before: unknown, after: unknown, path: JsonPath, lines: DiffLine[]): void {
  if (before === undefined && after === undefined) return;
  if (before === undefined) return void lines.push({ kind: 'added', path: name(path), after: show(after) });
  if (after === undefined) return void lines.push({ kind: 'removed', path: name(path), before: show(before) });
  if (isRecord(before) && isRecord(after)) return compareMembers(before, after, path, lines);
  if (Array.isArray(before) && Array.isArray(after)) return compareItems(before, after, path, lines);
  if (before !== after) lines.push({ kind: 'changed', path: name(path), before: show(before), after: show(after) });
}

type Members = Readonly<Record<string, unknown>>;

function compareMembers(before: Members, after: Members, path: JsonPath, lines: DiffLine[]): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    compare(old, Object.hasOwn(after, key) ? after[key] : undefined, [...path, key], lines);
  }
}

function compareItems(before: readonly unknown[], after: readonly unknown[], path: JsonPath, lines: DiffLine[]): void {
  const oldIds = idsOf(before);
  const newIds = idsOf(after);
  if (oldIds === null || newIds === null) {
    for (let index = 0; index < Math.max(before.length, after.length); index += 1) {
      compare(before[index], after[index], [...path, index], lines);
    }
    return;
  }
  for (const id of new Set([...oldIds, ...newIds])) {
    compare(before[oldIds.indexOf(id)], after[newIds.indexOf(id)], [...path, `${id}`, ITEM], lines);
  }
  const keptBefore = oldIds.filter((id) => newIds.includes(id));
  const keptAfter = newIds.filter((id) => oldIds.includes(id));
  if (keptBefore.join() === keptAfter.join()) return;
  lines.push({
    kind: 'changed',
    path: `${name(path)} (order)`,
    before: keptBefore.join(', '),
    after: keptAfter.join(', '),
  });
}

/** Marks the part before it as the id of a list's item; an index never has this value. */
const ITEM = -1;

function name(path: JsonPath): string {
  let text = '';
  path.forEach((part, index) => {
    if (part === ITEM) return;
    if (path[index + 1] === ITEM) text += `[${part}]`;
    else if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' || formatPath([part]).startsWith('[') ? formatPath([part]) : `.${part}`;
  });
  return text;
}

function idsOf(items: readonly unknown[]): readonly string[] | null {
  const ids = items.flatMap((item) => (isRecord(item) && typeof item['id'] === 'string' ? [item['id']] : []));
  return ids.length === items.length && new Set(ids).size === ids.length ? ids : null;
}

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 200 ? text : `${text.slice(0, 197)}...`;
}
