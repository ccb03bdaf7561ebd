import type { Transaction } from '../data-source.js';

export interface SystemGauges {
  /** Runs that have not ended, by state. */
  readonly openRuns: Readonly<Record<string, number>>;
  readonly unsentCommands: number;
  /** 0 without unsent commands. */
  readonly oldestUnsentSeconds: number;
  readonly unsealedRecords: number;
}

/** What a scrape of the metrics shows: reads only open rows, through their indexes. */
export async function readSystemGauges(transaction: Transaction): Promise<SystemGauges> {
  const rows: SystemGauges[] = await transaction.query(
    `SELECT
       (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (
          SELECT state, count(*) AS n FROM run WHERE ended_at IS NULL GROUP BY state) AS open) AS "openRuns",
       (SELECT count(*) FROM outbox WHERE sent_at IS NULL) AS "unsentCommands",
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
          FROM outbox WHERE sent_at IS NULL) AS "oldestUnsentSeconds",
       (SELECT count(*) FROM audit_unsealed) AS "unsealedRecords"`,
  );
  return rows[0] ?? { openRuns: {}, unsentCommands: 0, oldestUnsentSeconds: 0, unsealedRecords: 0 };
}
