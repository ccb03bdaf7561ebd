const maxLines = 1000;
const maxValueChars = 200;

/** Lines such as `~ spec.steps[0].with.argv: ["a"] -> ["b"]`, `+ path: value`, `- path: value`, in the order of the new value. */
export function diffLines(before: unknown, after: unknown): string[] {
  const lines: string[] = [];
  compare(before, after, '', lines);
  if (lines.length <= maxLines) return lines;
  return [...lines.slice(0, maxLines), `... and ${lines.length - maxLines} more`];
}

function compare(before: unknown, after: unknown, path: string, lines: string[]): void {
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length && hasObject(after)) {
    after.forEach((item, index) => compare(before[index], item, `${path}[${index}]`, lines));
    return;
  }
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(after), ...Object.keys(before)])) {
      const inner = path === '' ? key : `${path}.${key}`;
      if (!Object.hasOwn(before, key)) lines.push(`+ ${inner}: ${shown(after[key])}`);
      else if (!Object.hasOwn(after, key)) lines.push(`- ${inner}: ${shown(before[key])}`);
      else compare(before[key], after[key], inner, lines);
    }
    return;
  }
  if (JSON.stringify(before) !== JSON.stringify(after)) lines.push(`~ ${path}: ${shown(before)} -> ${shown(after)}`);
}

function hasObject(items: readonly unknown[]): boolean {
  return items.some(isObject);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= maxValueChars ? text : `${text.slice(0, maxValueChars)}...`;
}
