import { patchSeverities } from './patch-baseline.js';
import type { OfferedVersion } from './patch.js';

/** The lower, the worse; a word that is not known comes after those that are, and none at all last. */
function severityRank(severity: string | null): number {
  if (severity === null) return patchSeverities.length + 1;
  const at = (patchSeverities as readonly string[]).indexOf(severity.toLowerCase());
  return at < 0 ? patchSeverities.length : at;
}

/** Which of two severities is the worse; null: not known. */
export function worseSeverity(a: string | null, b: string | null): string | null {
  return severityRank(b) < severityRank(a) ? b : a;
}

/** The worst of some versions, as the archive writes it; null: it says none. */
export function worstSeverity(versions: readonly Pick<OfferedVersion, 'severity'>[]): string | null {
  return versions.reduce<string | null>((worst, { severity }) => worseSeverity(worst, severity), null);
}
