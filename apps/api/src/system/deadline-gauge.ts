import { countRaisedDeadlines } from '@fettle/database';
import { Gauge, type Counter, type Registry } from 'prom-client';
import type { DataSource } from 'typeorm';

/** Deadlines of schedules that could not be met, read once a scrape; it only rises. */
export function registerDeadlineGauge(registers: Registry[], dataSource: DataSource, failures: Counter): void {
  const missed: Gauge<'kind'> = new Gauge({
    name: 'fettle_schedule_deadlines_missed',
    help: 'mustStartBy and mustFinishBy of schedules that could not be met',
    labelNames: ['kind'],
    registers,
    collect: async () => {
      try {
        const counts = await countRaisedDeadlines(dataSource.manager);
        for (const kind of ['start', 'finish']) missed.set({ kind }, counts[kind] ?? 0);
      } catch {
        failures.inc();
      }
    },
  });
}
