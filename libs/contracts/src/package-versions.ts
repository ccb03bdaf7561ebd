import type { PackageManager } from './patch.js';

/** Below 0: `a` is older than `b`. */
export function compareVersions(manager: PackageManager, a: string, b: string): number {
  return manager === 'apt' ? compareDebianVersions(a, b) : compareRpmVersions(a, b);
}

/** Debian policy, section 5.6.12: epoch, upstream version and revision; `~` sorts before the end, letters before all else. */
export function compareDebianVersions(a: string, b: string): number {
  const [left, right] = [splitDebian(a), splitDebian(b)];
  return (
    left.epoch - right.epoch ||
    compareDebianPart(left.upstream, right.upstream) ||
    compareDebianPart(left.revision, right.revision)
  );
}

function splitDebian(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)) || 0,
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

function debianOrder(character: string | undefined): number {
  if (character === '~') return -1;
  if (character === undefined || /\d/.test(character)) return 0;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}

function compareDebianPart(a: string, b: string): number {
  let [i, j] = [0, 0];
  const isText = (text: string, at: number): boolean => at < text.length && !/\d/.test(text[at] ?? '');
  while (i < a.length || j < b.length) {
    while (isText(a, i) || isText(b, j)) {
      const order = debianOrder(a[i]) - debianOrder(b[j]);
      if (order !== 0) return order;
      i += 1;
      j += 1;
    }
    const [left, right] = [digitsAt(a, i), digitsAt(b, j)];
    const order = compareDigits(left, right);
    if (order !== 0) return order;
    i += left.length;
    j += right.length;
  }
  return 0;
}

function digitsAt(text: string, at: number): string {
  let end = at;
  while (end < text.length && /\d/.test(text[end] ?? '')) end += 1;
  return text.slice(at, end);
}

/** As numbers of any length. */
function compareDigits(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Epoch, version and release as rpmvercmp has it: runs of digits and of letters, digits newer than letters, `~` before, `^` after. */
export function compareRpmVersions(a: string, b: string): number {
  const [left, right] = [splitDebian(a), splitDebian(b)];
  return (
    left.epoch - right.epoch ||
    compareRpmPart(left.upstream, right.upstream) ||
    compareRpmPart(left.revision, right.revision)
  );
}

function compareRpmPart(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\d+|[A-Za-z]+|~|\^/g) ?? [];
  const [left, right] = [parts(a), parts(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const [one, other] = [left[index], right[index]];
    if (one === other) continue;
    if (one === '~' || other === '~') return one === '~' ? -1 : 1;
    if (one === '^' || other === '^') {
      if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
      return one === '^' ? -1 : 1;
    }
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    const [isNumber, isOtherNumber] = [/\d/.test(one), /\d/.test(other)];
    if (isNumber !== isOtherNumber) return isNumber ? 1 : -1;
    const order = isNumber ? compareDigits(one, other) : one < other ? -1 : 1;
    if (order !== 0) return order;
  }
  return 0;
}
