import { Injectable } from '@nestjs/common';
import { readSystemGauges } from '@fettle/database';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { DataSource } from 'typeorm';
import { registerCapacityGauges } from './capacity-gauges.js';
import { registerDeadlineGauge } from './deadline-gauge.js';
import { registerScheduleGauges } from './schedule-gauges.js';
import { registerUnservedGauge } from './unserved-gauge.js';
import type { FettleRequest, FettleResponse, Next } from '../common/request.js';

/** What `/metrics` shows, in Prometheus' text format. The registry is the application's own: two in one process do not mix. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();
  readonly openStreams: Gauge;
  readonly #durations: Histogram<'method' | 'route' | 'status'>;
  readonly #failures: Counter;

  constructor(private readonly dataSource: DataSource) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#durations = new Histogram({
      name: 'fettle_http_request_duration_seconds',
      help: 'Time from request to the end of its answer',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.openStreams = new Gauge({ name: 'fettle_event_streams', help: 'Event streams now open', registers });
    this.#failures = new Counter({
      name: 'fettle_metrics_failures_total',
      help: 'Times that the gauges read from the database could not be read',
      registers,
    });
    this.#registerGauges(registers);
    registerCapacityGauges(registers, dataSource, this.#failures);
    registerDeadlineGauge(registers, dataSource, this.#failures);
    registerScheduleGauges(registers, dataSource, this.#failures);
    registerUnservedGauge(registers, dataSource, this.#failures);
  }

  /** Measures each request by its route's pattern, never by its path, so that the number of series is bounded. */
  readonly observe = (request: FettleRequest, response: FettleResponse, next: Next): void => {
    const end = this.#durations.startTimer();
    response.once('close', () => {
      const path: unknown = request.route?.path;
      const route = typeof path === 'string' ? path : 'none';
      end({ method: request.method ?? '', route, status: String(response.statusCode) });
    });
    next();
  };

  text(): Promise<string> {
    return this.registry.metrics();
  }

  #registerGauges(registers: Registry[]): void {
    const lag = new Gauge({
      name: 'fettle_outbox_oldest_seconds',
      help: 'Age of the oldest unsent command',
      registers,
    });
    const unsent = new Gauge({ name: 'fettle_outbox_unsent', help: 'Commands not yet sent to Temporal', registers });
    const unsealed = new Gauge({ name: 'fettle_audit_unsealed', help: 'Audit records without a position', registers });
    const runs: Gauge<'state'> = new Gauge({
      name: 'fettle_runs_open',
      help: 'Runs that have not ended, by state',
      labelNames: ['state'],
      registers,
      // One collector reads for all four, once a scrape.
      collect: async () => {
        try {
          const gauges = await readSystemGauges(this.dataSource.manager);
          lag.set(gauges.oldestUnsentSeconds);
          unsent.set(gauges.unsentCommands);
          unsealed.set(gauges.unsealedRecords);
          runs.reset();
          for (const [state, count] of Object.entries(gauges.openRuns)) runs.set({ state }, count);
        } catch {
          this.#failures.inc();
        }
      },
    });
  }
}
