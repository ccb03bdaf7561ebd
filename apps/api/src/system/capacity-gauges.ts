import { readCapacityGauges } from '@fettle/database';
import { Gauge, type Counter, type Registry } from 'prom-client';
import type { DataSource } from 'typeorm';

/** What is held and waited for, read once a scrape. */
export function registerCapacityGauges(registers: Registry[], dataSource: DataSource, failures: Counter): void {
  const waiting = new Gauge({
    name: 'fettle_capacity_waiting',
    help: 'Steps and runs that wait for a capacity',
    registers,
  });
  const oldest = new Gauge({
    name: 'fettle_capacity_oldest_wait_seconds',
    help: 'For how long the first of those that wait has waited',
    registers,
  });
  const assets = new Gauge({
    name: 'fettle_asset_lock_waiting',
    help: 'Targets that wait for an asset that another run changes',
    registers,
  });
  const held: Gauge = new Gauge({
    name: 'fettle_capacity_held',
    help: 'Steps and runs that hold a capacity',
    registers,
    collect: async () => {
      try {
        const gauges = await readCapacityGauges(dataSource.manager);
        held.set(gauges.holders);
        waiting.set(gauges.waiting);
        oldest.set(gauges.oldestWaitSeconds);
        assets.set(gauges.assetWaits);
      } catch {
        failures.inc();
      }
    },
  });
}
