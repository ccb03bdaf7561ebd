import type { Fire } from '@fettle/contracts';
import type { StoredFire } from '@fettle/database';

/** A row of the ledger as the API shows it. */
export function fireView(fire: StoredFire): Fire {
  const { nominalAt, source, outcome, code, reason, instants, lastNominalAt, waited, dueAt, evidence, runId } = fire;
  return {
    nominalAt: nominalAt.toISOString(),
    instants,
    lastNominalAt: (lastNominalAt ?? nominalAt).toISOString(),
    outcome,
    code,
    reason,
    source,
    waited,
    dueAt: dueAt?.toISOString() ?? null,
    evidence: { ...evidence },
    runId,
    settledAt: fire.settledAt.toISOString(),
  };
}
