import { listUnservedRuns } from '@fettle/database';
import { Gauge, type Counter, type Registry } from 'prom-client';
import type { DataSource } from 'typeorm';

/** Open runs that no worker that is there can go on with, read once a scrape. */
export function registerUnservedGauge(registers: Registry[], dataSource: DataSource, failures: Counter): void {
  const unserved: Gauge<'engine_version' | 'worker_build'> = new Gauge({
    name: 'fettle_runs_unserved',
    help: 'Open runs that wait for workers of a version, or pinned build, of which none is there',
    labelNames: ['engine_version', 'worker_build'],
    registers,
    collect: async () => {
      try {
        const found = await listUnservedRuns(dataSource.manager);
        unserved.reset();
        // So that an alert has a series to look at.
        if (found.length === 0) unserved.set({ engine_version: '', worker_build: '' }, 0);
        for (const { engineVersion, workerBuild, count } of found) {
          unserved.set({ engine_version: engineVersion, worker_build: workerBuild ?? '' }, count);
        }
      } catch {
        failures.inc();
      }
    },
  });
}
