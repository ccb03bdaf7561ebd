import { describe, expect, it } from '@jest/globals';
import { nextInstants, parseCron } from '@fettle/calendar';
import { Cron } from 'croner';
import { Report, type Sample } from './report.js';

const ROUNDS = Number(process.env.FETTLE_BENCH_ROUNDS ?? 3) * 5;
/** Next runs of each expression and zone in one sample. */
const CALLS = Number(process.env.FETTLE_BENCH_CALLS ?? 500);
const START_MS = Date.UTC(2026, 0, 1);
/** Between the moments asked about: over a year in one sample, so that changes of clocks are among them. */
const STRIDE_MS = 17 * 3_600_000 + 1_234_000;

const expressions = [
  '30 2 * * *',
  '*/5 * * * *',
  '0 9 * * 1-5',
  '0 0 1 * *',
  '15 10 L * *',
  '0 12 * * 5#2',
  '0 0 29 2 *',
];
const zones = ['Europe/Berlin', 'America/New_York', 'UTC'];

function timed(work: () => void): Sample {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  work();
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs: performance.now() - startedAt, cpuMs: (user + system) / 1000 };
}

/** Parsed once and asked often, as a server does with its schedules; or parsed for each question, as a command does. */
const ways = { parsed: true, 'parsed each time': false } as const;

describe('next-run', () => {
  it('measures the next run of an expression against croner', async () => {
    const cases = expressions.flatMap((expression) => zones.map((zone) => ({ expression, zone })));
    const report = new Report(
      'next-run',
      `${cases.length} expressions and zones, ${CALLS} times the next run of each, at moments over a year; one process, nothing else to wait for`,
    );
    for (const [way, isParsedOnce] of Object.entries(ways)) {
      const calls = isParsedOnce ? CALLS : Math.ceil(CALLS / 5);
      const samples: { fettle: Sample[]; croner: Sample[] } = { fettle: [], croner: [] };
      for (let round = -1; round < ROUNDS; round += 1) {
        const answers: Record<'fettle' | 'croner', string[]> = { fettle: [], croner: [] };
        const fettle = (): void => {
          for (const { expression, zone } of cases) {
            let cron = parseCron(expression);
            for (let call = 0; call < calls; call += 1) {
              if (!isParsedOnce) cron = parseCron(expression);
              const after = START_MS + call * STRIDE_MS;
              answers.fettle.push(nextInstants({ cron, timeZone: zone, after, count: 1 })[0]?.at ?? '');
            }
          }
        };
        const croner = (): void => {
          for (const { expression, zone } of cases) {
            let cron = new Cron(expression, { timezone: zone });
            for (let call = 0; call < calls; call += 1) {
              if (!isParsedOnce) cron = new Cron(expression, { timezone: zone });
              const next = cron.nextRun(new Date(START_MS + call * STRIDE_MS));
              answers.croner.push(`${next?.toISOString().slice(0, 19)}Z`);
            }
          }
        };
        // Who comes second finds warmer caches: the order changes each round. The first round only warms up.
        const pair = [() => ({ fettle: timed(fettle) }), () => ({ croner: timed(croner) })];
        const found = Object.assign({}, ...(round % 2 === 0 ? pair : pair.reverse()).map((one) => one())) as {
          fettle: Sample;
          croner: Sample;
        };
        if (round < 0) {
          const differing = answers.fettle.filter((at, index) => at !== answers.croner[index]).length;
          // Fast and wrong is worth nothing. croner has a policy of its own where a clock is moved.
          expect(differing).toBeLessThan(answers.fettle.length / 50);
          continue;
        }
        samples.fettle.push(found.fettle);
        samples.croner.push(found.croner);
      }
      report.add(`Fettle, ${way}`, samples.fettle, cases.length * calls, samples.fettle);
      report.add(`croner, ${way}`, samples.croner, cases.length * calls, samples.fettle);
    }
    await report.write();
  }, 1_800_000);
});
