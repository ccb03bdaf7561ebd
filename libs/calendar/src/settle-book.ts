import type { FireDecision, FireSource, FireVerdict, WaitingEnd, WaitingFire } from './settle-types.js';
import { timeMs, utcText } from './time.js';

/** What stands for several instants as one row: nobody acted on any of them. */
function isStretch({ outcome, code }: FireVerdict): boolean {
  return (outcome === 'skipped' && code === 'paused') || outcome === 'missed';
}

/** What one settling has decided so far. */
export class SettleBook {
  readonly #decisions: FireDecision[] = [];
  readonly #ends = new Map<string, WaitingEnd>();
  /** Those that wait by now, the earlier ones first: of the ledger and of this settling. */
  readonly #waiting = new Map<string, WaitingFire>();

  constructor(waiting: readonly WaitingFire[]) {
    for (const fire of waiting) this.#waiting.set(keyOf(fire.source, timeMs(fire.nominalAt)), fire);
  }

  add(atMs: number, verdict: FireVerdict, extendsLast: boolean): void {
    const at = utcText(atMs);
    const before = this.#decisions.at(-1);
    if (before && isStretch(verdict) && before.outcome === verdict.outcome && before.code === verdict.code) {
      this.#decisions[this.#decisions.length - 1] = { ...before, instants: before.instants + 1, lastNominalAt: at };
      return;
    }
    const isFirst = this.#decisions.length === 0;
    this.#decisions.push({
      nominalAt: at,
      instants: 1,
      lastNominalAt: at,
      extendsLast: isFirst && extendsLast,
      ...verdict,
    });
    this.#note('nominal', at, verdict);
  }

  end(fire: WaitingFire, verdict: FireVerdict): void {
    const atMs = timeMs(fire.nominalAt);
    const index = this.#decisions.findIndex((one) => fire.source === 'nominal' && timeMs(one.nominalAt) === atMs);
    const decided = this.#decisions[index];
    // Decided to wait a moment ago, by the same settling.
    if (decided) this.#decisions[index] = { ...decided, ...verdict };
    else this.#ends.set(keyOf(fire.source, atMs), { nominalAt: exactUtc(atMs), source: fire.source, ...verdict });
    this.#note(fire.source, fire.nominalAt, verdict);
  }

  isEnded(fire: WaitingFire): boolean {
    return this.#ends.has(keyOf(fire.source, timeMs(fire.nominalAt)));
  }

  /** Instants of the schedule, and what persons triggered, that wait by now; a backfill waits for itself. */
  waitingOwn(outcome: WaitingFire['outcome']): readonly WaitingFire[] {
    return [...this.#waiting.values()].filter((one) => one.outcome === outcome && one.source !== 'backfill');
  }

  written(): { readonly decisions: readonly FireDecision[]; readonly ends: readonly WaitingEnd[] } {
    return { decisions: this.#decisions, ends: [...this.#ends.values()] };
  }

  #note(source: FireSource, nominalAt: WaitingFire['nominalAt'], { outcome, dueAt }: FireVerdict): void {
    const key = keyOf(source, timeMs(nominalAt));
    if (outcome === 'queued' || outcome === 'deferred') this.#waiting.set(key, { nominalAt, source, outcome, dueAt });
    else this.#waiting.delete(key);
  }
}

function keyOf(source: FireSource, atMs: number): string {
  return `${source} ${atMs}`;
}

/** What a person triggers has milliseconds. */
function exactUtc(atMs: number): string {
  return atMs % 1000 === 0 ? utcText(atMs) : new Date(atMs).toISOString();
}
