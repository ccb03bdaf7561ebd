/** Host names that one pattern stands for: a prefix and the sequences that follow it, not yet multiplied out. */
export interface HostPattern {
  readonly parts: readonly (string | readonly string[])[];
  readonly count: number;
  readonly port: number | null;
}

export type ParsedHostPattern = HostPattern | { readonly problem: string };

const MAX_RANGES = 8;
const BRACKETED_PORT = /^\[(.+)\]:([0-9]+)$/;
const PORT = /^((?:[^:[\]]|\[[^\]]*\])*):([0-9]+)$/;
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/**
 * Reads `web[01:20]`, `db-[a:f]`, `n[1:10:2]`, `host:2222`, `[2001:db8::1]:22`, as Ansible's `expand_hostname_range` and
 * `parse_address` do. `maxHosts` bounds what a pattern may stand for before anything is expanded.
 */
export function parseHostPattern(text: string, maxHosts: number): ParsedHostPattern {
  const withPort = BRACKETED_PORT.exec(text) ?? PORT.exec(text);
  const hosts = withPort?.[1] ?? text;
  const port = withPort ? Number(withPort[2]) : null;
  if (port === null && text.endsWith(':')) return { problem: 'a host name cannot end in ":", which separates a port' };
  if (port !== null && (port < 1 || port > 65_535))
    return { problem: `port ${withPort?.[2] ?? ''} is not between 1 and 65535` };
  const parts: (string | readonly string[])[] = [];
  let count = 1;
  let ranges = 0;
  let at = 0;
  while (at < hosts.length) {
    const open = hosts.indexOf('[', at);
    const plain = hosts.slice(at, open < 0 ? undefined : open);
    if (plain.includes(']')) return { problem: 'a "]" has no "[" before it' };
    if (plain !== '') parts.push(plain);
    if (open < 0) break;
    const close = hosts.indexOf(']', open);
    if (close < 0) return { problem: 'a "[" is never closed by "]"' };
    ranges += 1;
    if (ranges > MAX_RANGES) return { problem: `more than ${MAX_RANGES} ranges in one pattern` };
    const sequence = parseRange(hosts.slice(open + 1, close), maxHosts);
    if (typeof sequence === 'string') return { problem: sequence };
    count *= sequence.length;
    if (count > maxHosts)
      return { problem: `the ranges stand for more than the ${maxHosts} hosts that may still follow` };
    parts.push(sequence);
    at = close + 1;
  }
  return { parts, count, port };
}

/** The names in Ansible's order: the last range runs fastest. */
export function expandHostPattern(pattern: HostPattern): string[] {
  let names = [''];
  for (const part of pattern.parts) {
    if (typeof part === 'string') names = names.map((name) => name + part);
    else names = names.flatMap((name) => part.map((member) => name + member));
  }
  return names;
}

/** The members of `begin:end[:step]`, or what is wrong with it. */
function parseRange(range: string, maxHosts: number): readonly string[] | string {
  const bounds = range.split(':');
  if (bounds.length !== 2 && bounds.length !== 3)
    return `the range [${range.slice(0, 40)}] must be [begin:end] or [begin:end:step]`;
  const begin = bounds[0] === '' ? '0' : (bounds[0] ?? '0');
  const end = bounds[1] ?? '';
  if (end === '') return `the range [${range.slice(0, 40)}] has no end`;
  const stepText = bounds[2] ?? '1';
  if (!/^[0-9]{1,9}$/.test(stepText) || Number(stepText) === 0)
    return `the step "${stepText.slice(0, 20)}" must be a number above 0`;
  const step = Number(stepText);
  const isPadded = begin.length > 1 && begin.startsWith('0');
  if (isPadded && begin.length !== end.length)
    return `the bounds of [${range.slice(0, 40)}] must be equally long: "${begin}" has leading zeros`;
  if (begin.length === 1 && end.length === 1 && LETTERS.includes(begin) && LETTERS.includes(end))
    return letters(begin, end, step);
  if (!/^[0-9]{1,15}$/.test(begin) || !/^[0-9]{1,15}$/.test(end))
    return `the bounds of [${range.slice(0, 40)}] must be two numbers or two letters`;
  const first = Number(begin);
  const last = Number(end);
  if (first > last) return `the range [${range.slice(0, 40)}] ends before it begins`;
  if (Math.floor((last - first) / step) + 1 > maxHosts)
    return `the range [${range.slice(0, 40)}] stands for more than the ${maxHosts} hosts that may still follow`;
  const members: string[] = [];
  for (let member = first; member <= last; member += step)
    members.push(String(member).padStart(isPadded ? begin.length : 0, '0'));
  return members;
}

function letters(begin: string, end: string, step: number): readonly string[] | string {
  const first = LETTERS.indexOf(begin);
  const last = LETTERS.indexOf(end);
  if (first > last) return `the range [${begin}:${end}] ends before it begins`;
  return [...LETTERS.slice(first, last + 1)].filter((_, index) => index % step === 0);
}
