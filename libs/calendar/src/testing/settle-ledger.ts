import type { FireOutcome, FireSource, PausedRange, SettleInput, Settlement, WaitingFire } from '../settle-types.js';

/** A row of the ledger in memory, with what was decided of it, one after the other. */
export interface LedgerRow {
  readonly nominalMs: number;
  lastNominalMs: number;
  readonly source: FireSource;
  instants: number;
  outcome: FireOutcome;
  code: string;
  dueAt: string | null;
  /** By the clock of whoever decided. */
  readonly decidedMs: number[];
  /** As it was first decided: `outcome code`, whether a run was open then, and whether another one was queued. */
  first: { readonly said: string; readonly isRunning: boolean; readonly isQueued: boolean } | null;
  readonly outcomes: string[];
}

/** What the database is to settling: rows, watermark, runs. Kept as simple as can be; it writes what it is told and nothing else. */
export class SettleLedger {
  readonly rows: LedgerRow[] = [];
  readonly starts: { readonly nominalMs: number; readonly atMs: number }[] = [];
  lastEndedMs: number | null = null;
  mostAtOnce = 0;
  /** Kept beside the rows, in their order: settling asks every minute, and most rows wait no more. */
  readonly #waiting = new Set<LedgerRow>();
  readonly #nominals = new Set<number>();
  #runs: { readonly endsMs: number; isCancelled: boolean }[] = [];

  constructor(
    public watermarkMs: number,
    readonly paused: readonly PausedRange[],
  ) {}

  get openRuns(): number {
    return this.#runs.length;
  }

  /** A run that is cancelled ends with the next minute. */
  endRuns(realMs: number): void {
    const before = this.#runs.length;
    this.#runs = this.#runs.filter((run) => !run.isCancelled && run.endsMs > realMs);
    if (this.#runs.length < before) this.lastEndedMs = realMs;
  }

  waiting(): WaitingFire[] {
    return [...this.#waiting].map(({ nominalMs, source, outcome, dueAt }) => {
      if (outcome !== 'queued' && outcome !== 'deferred') throw new Error(`${nominalMs} does not wait`);
      return { nominalAt: nominalMs, source, outcome, dueAt };
    });
  }

  last(): NonNullable<SettleInput['last']> | null {
    const row = this.rows.at(-1);
    return row === undefined ? null : { nominalAt: row.nominalMs, outcome: row.outcome, code: row.code };
  }

  write(
    { decisions, ends, cancelRunning, watermark }: Settlement,
    at: { readonly nowMs: number; readonly realMs: number; readonly runMs: () => number },
  ): void {
    // Before anything is started: those that are under way.
    if (cancelRunning) for (const run of this.#runs) run.isCancelled = true;
    for (const end of ends) {
      const nominalMs = Date.parse(end.nominalAt);
      const row = [...this.#waiting].find((one) => one.nominalMs === nominalMs && one.source === end.source);
      if (row === undefined) throw new Error(`${end.nominalAt} did not wait`);
      this.#decide(row, end, at);
    }
    for (const decision of decisions) {
      const nominalMs = Date.parse(decision.nominalAt);
      const lastNominalMs = Date.parse(decision.lastNominalAt);
      if (decision.extendsLast) {
        const row = this.rows.at(-1)!;
        row.instants += decision.instants;
        row.lastNominalMs = lastNominalMs;
        row.decidedMs.push(at.nowMs);
        continue;
      }
      if (this.#nominals.has(nominalMs)) throw new Error(`${decision.nominalAt} has two rows`);
      this.#nominals.add(nominalMs);
      const { instants, outcome, code, dueAt } = decision;
      const row: LedgerRow = {
        ...{ nominalMs, lastNominalMs, source: 'nominal', instants, outcome, code, dueAt },
        ...{ decidedMs: [], outcomes: [], first: null },
      };
      const isQueued = [...this.#waiting].some((one) => one.outcome === 'queued');
      row.first = { said: `${outcome} ${code}`.trim(), isRunning: this.openRuns > 0, isQueued };
      this.rows.push(row);
      this.#decide(row, decision, at);
    }
    const watermarkMs = Date.parse(watermark);
    if (watermarkMs < this.watermarkMs) throw new Error('the watermark went back');
    this.watermarkMs = watermarkMs;
  }

  #decide(
    row: LedgerRow,
    { outcome, code, dueAt }: { readonly outcome: FireOutcome; readonly code: string; readonly dueAt: string | null },
    at: { readonly nowMs: number; readonly realMs: number; readonly runMs: () => number },
  ): void {
    Object.assign(row, { outcome, code, dueAt });
    row.decidedMs.push(at.nowMs);
    row.outcomes.push(outcome);
    if (outcome === 'queued' || outcome === 'deferred') this.#waiting.add(row);
    else this.#waiting.delete(row);
    if (outcome !== 'fired' && outcome !== 'caught-up') return;
    this.starts.push({ nominalMs: row.nominalMs, atMs: at.nowMs });
    this.#runs.push({ endsMs: at.realMs + at.runMs(), isCancelled: false });
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#runs.length);
  }
}
