/** Control characters that a terminal may obey, other than newline and tab; C1 and the line separators included. */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Makes text from hosts and other people safe for a terminal: what it could obey (escape sequences, direction overrides) becomes
 * visible, such as `\x1b`. Newlines and tabs stay.
 */
export function neutralise(text: string): string {
  return text.replace(controls, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** The same for one line: newlines and tabs become visible too. */
export function oneLine(text: string): string {
  return neutralise(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const zeroWidth = /[\p{Mn}\p{Me}\u200b-\u200d\ufe0f]/u;

/** Columns that a terminal gives the text (no control characters in it). */
export function displayWidth(text: string): number {
  // Plain ASCII is the common case and needs no look at each character.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += zeroWidth.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return width;
}

/** At most `maxWidth` columns, with an ellipsis where something was cut. */
export function truncate(text: string, maxWidth: number): string {
  return displayWidth(text) <= maxWidth ? text : `${prefix(text, maxWidth - 1)}…`;
}

/** The text over at most so many lines, broken between words where it can be; what does not fit is cut off with an ellipsis. */
export function wrap(text: string, maxWidth: number, maxLines: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (lines.length < maxLines - 1 && displayWidth(rest) > maxWidth) {
    const fitting = prefix(rest, maxWidth);
    const next = rest[fitting.length] ?? '';
    const space = next === ' ' ? fitting.length : fitting.lastIndexOf(' ');
    const end = space > 0 ? space : Math.max(fitting.length, 1);
    lines.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  return [...lines, truncate(rest, maxWidth)];
}

/** As much of the beginning as fits. */
function prefix(text: string, maxWidth: number): string {
  let width = 0;
  let kept = '';
  for (const character of text) {
    width += displayWidth(character);
    if (width > maxWidth) break;
    kept += character;
  }
  return kept;
}

/** `1 host`, `3 hosts`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `850 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** How long ago, for tables: one unit is enough. */
export function age(time: string | null, now: Date): string {
  if (time === null) return '';
  const seconds = Math.max(1, Math.floor((now.getTime() - Date.parse(time)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}
