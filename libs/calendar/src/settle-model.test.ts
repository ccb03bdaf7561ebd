import { describe, expect, it } from '@jest/globals';
import type { GateState } from './calendar-gate.js';
import { parseCron } from './cron.js';
import { instants } from './instants.js';
import type { Recurrence } from './recurrence.js';
import { settleInstants } from './settle.js';
import { SettleLedger, type LedgerRow } from './testing/settle-ledger.js';
import { firstOutcomes, modelOutcome, type ModelHistory } from './testing/settle-model.js';
import { randomOf, type Random } from './testing/random.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const histories = process.env['FETTLE_LONG'] === '1' ? 10_000 : 150;
const seed = Number(process.env['FETTLE_SEED'] ?? 20_260_329);

/** A history: what the schedule says, and what happens to it minute by minute. */
interface Settings extends ModelHistory {
  readonly schedule: Recurrence;
  readonly startMs: number;
  readonly endMs: number;
  /** Stretches in which nothing settles: worker, Temporal or database are away. */
  readonly outages: readonly (readonly [fromMs: number, toMs: number])[];
  readonly closures: readonly (readonly [fromMs: number, toMs: number])[];
  readonly runMs: () => number;
  /** How the clock of whoever settles is off, drawn for each settling. */
  readonly clockOffsetMs: () => number;
}

function stretches(
  random: Random,
  startMs: number,
  endMs: number,
  most: number,
  longestMs: number,
): [number, number][] {
  const found: [number, number][] = [];
  for (let index = random.below(most + 1); index > 0; index -= 1) {
    const fromMs = startMs + random.below((endMs - startMs) / MINUTE_MS) * MINUTE_MS;
    found.push([fromMs, fromMs + (1 + random.below(longestMs / MINUTE_MS)) * MINUTE_MS]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** Around both changes of clocks, and at a quiet time. */
const begins = [Date.UTC(2026, 2, 28, 18), Date.UTC(2026, 9, 24, 18), Date.UTC(2026, 5, 1)];
const expressions = ['*/10 * * * *', '30 2 * * *', '0 * * * *', '7,37 1-4 * * *', '*/3 * * * *', '0 0 31 12 *'];

function settingsOf(random: Random): Settings {
  const startMs = random.from(begins);
  const endMs = startMs + (6 + random.below(24)) * HOUR_MS;
  const shortRuns = random.below(2) === 0;
  const isSteady = random.below(3) > 0;
  return {
    schedule: {
      cron: parseCron(random.from(expressions)),
      timeZone: random.from(['Europe/Berlin', 'UTC', 'Australia/Lord_Howe', 'America/New_York']),
      gap: random.from(['shift', 'skip'] as const),
      overlap: random.from(['first', 'last', 'both'] as const),
    },
    startMs,
    endMs,
    runOverlap: random.from(['skip', 'queue-one', 'queue-all', 'cancel-other', 'allow'] as const),
    missed: random.from(['none', 'last', 'all'] as const),
    whenClosed: random.from(['refuse', 'skip', 'defer'] as const),
    catchUpMs: random.from([0, MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS]),
    outages: stretches(random, startMs, endMs, 3, 5 * HOUR_MS),
    closures: stretches(random, startMs, endMs, 3, 6 * HOUR_MS),
    paused: stretches(random, startMs, endMs, 2, 4 * HOUR_MS),
    runMs: () => (1 + random.below(shortRuns ? 5 : 90)) * MINUTE_MS,
    clockOffsetMs: () => (isSteady ? 0 : (random.below(9) - 4) * 45_000),
  };
}

/** Minute-wise and naive: closed where any stretch covers the moment, open at the end of those that touch each other. */
function gateOf(closures: Settings['closures'], isForEver: boolean): (atMs: number) => GateState {
  return (atMs) => {
    let openMs = atMs;
    for (const [fromMs, toMs] of closures) if (fromMs <= openMs && openMs < toMs) openMs = toMs;
    if (openMs === atMs) return { isOpen: true };
    return { isOpen: false, reason: 'freeze', calendar: 'model', nextOpenMs: isForEver ? null : openMs };
  };
}

/** Plays one history, minute by minute, and gives its ledger. */
function play(settings: Settings, random: Random): SettleLedger {
  const { schedule, startMs, endMs, closures, outages, paused, runOverlap, missed, whenClosed, catchUpMs } = settings;
  const gate = gateOf(closures, random.below(10) === 0);
  const ledger = new SettleLedger(
    startMs,
    paused.map(([fromMs, toMs]) => ({ from: fromMs, to: toMs })),
  );
  // After the end, in larger steps.
  const step = (realMs: number): number => (realMs < endMs ? MINUTE_MS : 15 * MINUTE_MS);
  for (let realMs = startMs; realMs <= endMs + 24 * HOUR_MS; realMs += step(realMs)) {
    const isDown = outages.some(([fromMs, toMs]) => fromMs <= realMs && realMs < toMs);
    ledger.endRuns(realMs);
    if (isDown || (realMs < endMs && random.below(3) > 0)) continue;
    const nowMs = Math.min(realMs, endMs) + (realMs < endMs ? settings.clockOffsetMs() : 0);
    // After the end time goes on, without new instants: what waits comes to its end.
    const waitNowMs = realMs > endMs ? realMs : nowMs;
    for (let more = true, round = 0; more; round += 1) {
      if (round > 1000) throw new Error('it never comes to an end');
      const settlement = settleInstants({
        schedule: { ...schedule, end: endMs + 1 },
        watermark: ledger.watermarkMs,
        now: waitNowMs,
        catchUpMs,
        paused: ledger.paused,
        overlapRunning: ledger.openRuns > 0,
        freeSince: ledger.lastEndedMs,
        overlap: runOverlap,
        missed,
        whenClosed,
        gate,
        waiting: ledger.waiting(),
        last: ledger.last(),
        maxInstants: random.from([1, 3, 10_000]),
        maxStarts: random.from([1, 50]),
      });
      ledger.write(settlement, { nowMs: waitNowMs, realMs, runMs: settings.runMs });
      ({ more } = settlement);
    }
    const isPaused = paused.some(([fromMs, toMs]) => fromMs <= waitNowMs && waitNowMs < toMs);
    const wentBack = waitNowMs < ledger.watermarkMs;
    if (ledger.openRuns === 0 && gate(waitNowMs).isOpen && !isPaused && !wentBack && ledger.waiting().length > 0)
      throw new Error(`at ${new Date(waitNowMs).toISOString()} a fire waits that nothing stands in the way of`);
  }
  return ledger;
}

function check(settings: Settings, ledger: SettleLedger, text: string): void {
  const { schedule, startMs, endMs } = settings;
  const expected = instants({ ...schedule, from: startMs + 1, to: endMs + 1 }).map(({ at }) => Date.parse(at));
  const rows = ledger.rows.filter((row) => row.source === 'nominal');
  // The invariant: instants up to the watermark are as many as the outcomes together.
  const sum = rows.reduce((total, row) => total + row.instants, 0);
  expect({ text, sum }).toEqual({ text, sum: expected.length });
  // Each instant in exactly one row, in order.
  let next = 0;
  for (const row of rows) {
    const own = expected.slice(next, next + row.instants);
    if (own[0] !== row.nominalMs || own.at(-1) !== row.lastNominalMs)
      throw new Error(`${text}: the row of ${new Date(row.nominalMs).toISOString()} stands for other instants`);
    checkFirst(settings, row, { from: next, all: expected, text });
    checkRow(settings, row, text);
    next += row.instants;
  }
  expect(next).toBe(expected.length);
  // No instant fired twice; what fired has its run, and nothing else has.
  const started = ledger.starts.map((one) => one.nominalMs);
  expect({ text, twice: started.length - new Set(started).size }).toEqual({ text, twice: 0 });
  const fired = rows
    .filter((row) => row.outcome === 'fired' || row.outcome === 'caught-up')
    .map((row) => row.nominalMs);
  expect({ text, started: [...started].sort((a, b) => a - b) }).toEqual({ text, started: fired });
  // Nothing waits for ever: time went on for a day, which is longer than any run or closure.
  if (ledger.openRuns === 0) {
    const waiting = rows.filter((row) => row.outcome === 'queued' || row.outcome === 'deferred');
    expect({ text, waiting: waiting.length }).toEqual({ text, waiting: 0 });
  }
  expect({ text, most: ledger.mostAtOnce <= 1 || settings.runOverlap === 'allow' }).toEqual({ text, most: true });
}

/** Every instant of the row, by what was known when it was first decided; a pause grows, all else is decided at once. */
function checkFirst(
  settings: Settings,
  row: LedgerRow,
  { from, all, text }: { readonly from: number; readonly all: readonly number[]; readonly text: string },
): void {
  for (let index = from; index < from + row.instants; index += 1) {
    const must = firstOutcomes(settings, { index, decidedMs: row.decidedMs[0]!, all }, row.first!);
    if (must.includes(row.first!.said)) continue;
    throw new Error(
      `${text}: ${new Date(all[index]!).toISOString()} was "${row.first!.said}" first; it must be ${must.join(' or ')}`,
    );
  }
}

/** Plain comparisons: there are hundreds of thousands of rows. */
function checkRow(settings: Settings, row: LedgerRow, text: string): void {
  const allowed = modelOutcome(settings, row);
  const outcome = `${row.outcome} ${row.code}`.trim();
  if (allowed.has(outcome)) return;
  const at = new Date(row.nominalMs).toISOString();
  throw new Error(`${text}: ${at} is "${outcome}"; the model allows ${[...allowed].join(', ')}`);
}

describe('settle against a naive model of its own', () => {
  it(`keeps the ledger's invariant through ${histories} histories (seed ${seed})`, () => {
    const random = randomOf(seed);
    let [rows, starts] = [0, 0];
    const seen = new Map<string, number>();
    for (let index = 0; index < histories; index += 1) {
      const settings = settingsOf(random);
      const ledger = play(settings, random);
      check(settings, ledger, `seed ${seed}, history ${index}`);
      rows += ledger.rows.length;
      starts += ledger.starts.length;
      for (const row of ledger.rows) {
        const key = `${row.outcome} ${row.code}`.trim();
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
    }
    const counts = [...seen].sort().map(([key, count]) => `${key}: ${count}`);
    process.stderr.write(`${histories} histories, ${rows} rows, ${starts} starts; ${counts.join(', ')}\n`);
    // Every ending there is has been seen: the histories are not all of one kind.
    const wanted = ['fired', 'caught-up', 'missed late', 'missed superseded', 'skipped overlap', 'skipped paused'];
    const waited = ['skipped queue-full', 'skipped superseded', 'skipped freeze', 'refused freeze'];
    expect([...seen.keys()]).toEqual(expect.arrayContaining([...wanted, ...waited]));
  }, 3_600_000);
});
