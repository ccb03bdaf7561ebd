export type LogFindingKind =
  'edited' | 'deleted' | 'reordered' | 'truncated' | 'inserted' | 'bad-signature' | 'checkpoint-mismatch';

/** Something wrong with the log. */
export interface LogFinding {
  readonly kind: LogFindingKind;
  /** Position of the first record concerned; null where it has none (a checkpoint, an unsealed record). */
  readonly position: number | null;
  /** How many positions it concerns, from `position` on. */
  readonly count: number;
  readonly message: string;
}

/** Keeps the first findings and counts the others, so that a log full of errors fits in memory. */
export class FindingList {
  count = 0;
  /** The smallest position that any finding concerns, infinite without one. */
  firstPosition = Number.POSITIVE_INFINITY;
  readonly #max: number;
  readonly #kept: LogFinding[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  add(finding: LogFinding): void {
    this.count += 1;
    if (finding.position !== null) this.firstPosition = Math.min(this.firstPosition, finding.position);
    if (this.#kept.length < this.#max) this.#kept.push(finding);
  }

  get omitted(): number {
    return this.count - this.#kept.length;
  }

  /** By position; those without one first. */
  sorted(): LogFinding[] {
    return [...this.#kept].sort((left, right) => (left.position ?? -1) - (right.position ?? -1));
  }
}

/** Half-open range of positions. */
export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

/** More gaps than this are merged: they are all deletions by then, and memory stays bounded. */
const maxGaps = 10_000;

/** Positions passed over so far: deleted, unless a record comes late. */
export class PositionGaps {
  readonly #gaps: PositionRange[] = [];

  open(start: number, end: number): void {
    const last = this.#gaps.at(-1);
    if (last && this.#gaps.length >= maxGaps) this.#gaps[this.#gaps.length - 1] = { start: last.start, end };
    else this.#gaps.push({ start, end });
  }

  /** Takes one position out; false where it was not missing. */
  close(position: number): boolean {
    let low = 0;
    let high = this.#gaps.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#gaps[middle]?.end ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    const gap = this.#gaps[low];
    if (!gap || position < gap.start) return false;
    const left = { start: gap.start, end: position };
    const right = { start: position + 1, end: gap.end };
    this.#gaps.splice(low, 1, ...[left, right].filter((part) => part.end > part.start));
    return true;
  }

  remaining(): readonly PositionRange[] {
    return this.#gaps;
  }
}
