import type { Output } from './output.js';
import { plural } from './text.js';

/** Says for how many assets a selector was neither true nor false: they are no targets, which nobody may have meant. */
export function warnUndetermined(output: Output, count: number): void {
  if (count === 0) return;
  output.warn(
    `for ${plural(count, 'more asset')} the selector was neither true nor false, because a value that it reads is missing`,
  );
  output.note('  what to do: say what holds there, e.g. has(asset.labels.env) && asset.labels.env == "prod"');
}
