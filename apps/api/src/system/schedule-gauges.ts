import { readScheduleGauges } from '@fettle/database';
import { Gauge, type Counter, type Registry } from 'prom-client';
import type { DataSource } from 'typeorm';

/** How the schedules are, read once a scrape. */
export function registerScheduleGauges(registers: Registry[], dataSource: DataSource, failures: Counter): void {
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers });
  const quarantined = gauge('fettle_schedules_quarantined', 'Schedules put aside, because they cannot be reckoned');
  const paused = gauge('fettle_schedules_paused', 'Schedules that are paused');
  const waiting = gauge('fettle_fires_waiting', 'Fires that wait for another run or for a calendar to open');
  const latest = gauge('fettle_schedules_latest_seconds', 'How late the latest schedule is that nobody has settled');
  const differences: Gauge = new Gauge({
    name: 'fettle_schedule_differences',
    help: 'How often Temporal would have woken a schedule otherwise than the calendar says, until it was mended',
    registers,
    collect: async () => {
      try {
        const gauges = await readScheduleGauges(dataSource.manager);
        quarantined.set(gauges.quarantined);
        paused.set(gauges.paused);
        waiting.set(gauges.waitingFires);
        latest.set(gauges.latestSeconds);
        differences.set(gauges.differences);
      } catch {
        failures.inc();
      }
    },
  });
}
