import type { FireOutcome, FireSource } from '../entities/schedules.js';

/** A row of the ledger as it stands. */
export interface StoredFire {
  readonly nominalAt: Date;
  readonly source: FireSource;
  readonly outcome: FireOutcome;
  readonly code: string;
  readonly reason: string;
  readonly instants: number;
  /** Null: it stands for one instant. */
  readonly lastNominalAt: Date | null;
  readonly waited: 'queued' | 'deferred' | null;
  readonly dueAt: Date | null;
  readonly evidence: Readonly<Record<string, unknown>>;
  /** Who triggered it or filled it in, and under which idempotency key; null: an instant of the schedule. */
  readonly requestedBy: string | null;
  readonly requestKey: string | null;
  readonly runId: string | null;
  readonly settledAt: Date;
}

export const fireColumns = `nominal_at AS "nominalAt", source, outcome, code, reason, instants, last_nominal_at AS "lastNominalAt",
  waited, due_at AS "dueAt", evidence, requested_by AS "requestedBy", request_key AS "requestKey", run_id AS "runId", settled_at AS "settledAt"`;
