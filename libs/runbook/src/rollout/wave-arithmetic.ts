import type { TargetShare } from '@fettle/contracts';

/** A hundredth of a percent, so that shares are whole numbers and no rounding depends on binary fractions. */
const WHOLE = 10_000;

/** `"12.5%"` as 1250 hundredths of a percent; null: a plain number. */
function hundredthsOf(share: TargetShare): number | null {
  if (typeof share === 'number') return null;
  const match = /^(\d+)(?:\.(\d{1,2}))?%$/.exec(share);
  if (!match) throw new RangeError(`not a share of targets: ${share}`);
  return Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
}

/**
 * The number of targets at the end of each wave, those of the waves before it included: strictly rising, the last one is all
 * targets. Percentages are rounded up. A wave that would add no target vanishes; one that is missing at the end is added, so that
 * no target is ever left out. No targets: no waves.
 */
export function waveEnds(waves: readonly TargetShare[], targetCount: number): readonly number[] {
  const ends: number[] = [];
  let last = 0;
  for (const wave of [...waves, '100%']) {
    const hundredths = hundredthsOf(wave);
    const wanted = hundredths === null ? Number(wave) : Math.ceil((targetCount * hundredths) / WHOLE);
    const end = Math.min(targetCount, wanted);
    if (end <= last) continue;
    ends.push(end);
    last = end;
  }
  return ends;
}

/** Targets of each wave by itself. */
export function waveSizes(ends: readonly number[]): readonly number[] {
  return ends.map((end, index) => end - (ends[index - 1] ?? 0));
}

/** The number of failures that is still borne, percentages rounded down; null: any number. */
export function failureLimit(maxFailures: TargetShare | null | undefined, targetCount: number): number | null {
  if (maxFailures === null || maxFailures === undefined) return null;
  const hundredths = hundredthsOf(maxFailures);
  return hundredths === null ? Number(maxFailures) : Math.floor((targetCount * hundredths) / WHOLE);
}

/** Which of two shares of the same kind is smaller; undefined: a number and a percentage, which depends on the targets. */
export function compareShares(a: TargetShare, b: TargetShare): number | undefined {
  const [first, second] = [hundredthsOf(a), hundredthsOf(b)];
  if ((first === null) !== (second === null)) return undefined;
  return (first ?? Number(a)) - (second ?? Number(b));
}

/** Whether a share is all targets, however many there are. */
export function isEverything(share: TargetShare): boolean {
  return hundredthsOf(share) === WHOLE;
}
