/** Lines that are compared at most, on each side, between what both have in common at their beginning and end. */
const MAX_COMPARED_LINES = 1500;
const CONTEXT_LINES = 3;

type Edit = { readonly kind: ' ' | '-' | '+'; readonly line: string };

/**
 * The difference of two texts in the unified format (POSIX diff -u, without file names), at most `maxLines` lines of it. Null where
 * they are equal, or differ in too many lines to be compared.
 */
export function unifiedDiff(before: string, after: string, maxLines: number): string | null {
  const edits = editsBetween(linesOf(before), linesOf(after));
  if (edits === null || edits.every(({ kind }) => kind === ' ')) return null;
  const lines = hunksOf(edits);
  const rest = lines.length - maxLines;
  return [...lines.slice(0, maxLines), ...(rest > 0 ? [`... ${rest} more lines`] : [])].join('\n');
}

/** A last line without its newline is another line than one with it. */
function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  else lines.push(`${lines.pop() ?? ''} (no newline at the end)`);
  return text === '' ? [] : lines;
}

function editsBetween(before: readonly string[], after: readonly string[]): readonly Edit[] | null {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const [old, young] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  if (old.length > MAX_COMPARED_LINES || young.length > MAX_COMPARED_LINES) return null;
  const same = (lines: readonly string[]): Edit[] => lines.map((line) => ({ kind: ' ', line }));
  return [...same(before.slice(0, head)), ...compare(old, young), ...same(before.slice(before.length - tail))];
}

/** By the longest common subsequence: `lengths[i][j]` is that of what follows line i on the one side and j on the other. */
function compare(old: readonly string[], young: readonly string[]): Edit[] {
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(young.length + 1));
  for (let i = old.length - 1; i >= 0; i -= 1)
    for (let j = young.length - 1; j >= 0; j -= 1)
      lengths[i]![j] =
        old[i] === young[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
  const edits: Edit[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < young.length) {
    if (i < old.length && j < young.length && old[i] === young[j]) {
      edits.push({ kind: ' ', line: old[i]! });
      i += 1;
      j += 1;
    } else if (j >= young.length || (i < old.length && lengths[i + 1]![j]! >= lengths[i]![j + 1]!)) {
      edits.push({ kind: '-', line: old[i]! });
      i += 1;
    } else {
      edits.push({ kind: '+', line: young[j]! });
      j += 1;
    }
  }
  return edits;
}

/** Changes with the lines around them, each group below a line that says where it is. */
function hunksOf(edits: readonly Edit[]): string[] {
  const isNear = nearChanges(edits);
  const lines: string[] = [];
  let [oldLine, youngLine] = [1, 1];
  for (let index = 0; index < edits.length; index += 1) {
    if (isNear[index] && !isNear[index - 1]) {
      const end = isNear.indexOf(false, index);
      const hunk = edits.slice(index, end < 0 ? edits.length : end);
      const count = (kind: '-' | '+'): number => hunk.filter((edit) => edit.kind === ' ' || edit.kind === kind).length;
      lines.push(`@@ -${range(oldLine, count('-'))} +${range(youngLine, count('+'))} @@`);
    }
    const { kind, line } = edits[index]!;
    if (isNear[index]) lines.push(`${kind}${line}`);
    if (kind !== '+') oldLine += 1;
    if (kind !== '-') youngLine += 1;
  }
  return lines;
}

function range(start: number, count: number): string {
  return `${count === 0 ? start - 1 : start},${count}`;
}

function nearChanges(edits: readonly Edit[]): boolean[] {
  const near = edits.map(() => false);
  for (const [index, { kind }] of edits.entries())
    if (kind !== ' ')
      near.fill(true, Math.max(0, index - CONTEXT_LINES), Math.min(edits.length, index + CONTEXT_LINES + 1));
  return near;
}
